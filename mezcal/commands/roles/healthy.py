"""`mezcal healthy`: whether the role of this container is well, for the engine that runs it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    healthy = commands.add_parser(
        "healthy",
        help="tell whether the role of this container is well",
        description="Exit code 0 if the role that was started here is well, by the file that ROLE_SIGN names; else 1.",
    )
    healthy.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Ask; the exit code."""
    from mezcal.runtime.processes import HealthSign  # noqa: PLC0415 - --help needs none of it

    sign = HealthSign.read()
    if sign is None:
        print("mezcal: no role was started here", file=sys.stderr)
        return 1
    return 0 if sign.well() else 1
