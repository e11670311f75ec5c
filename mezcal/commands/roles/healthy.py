"""`mezcal healthy`: the health check that a container engine runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mezcal.commands.terminal.exit_codes import OK, PROBLEMS
from mezcal.runtime.processes import HealthSign

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
End with exit code 0 if the role that was started in this container is healthy, else with 1. The role writes
how it can be checked into the file that ROLE_SIGN names.

example: mezcal healthy"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description of the command to *parser*."""
    parser.description = DESCRIPTION
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Check the role. Returns the exit code."""
    sign = HealthSign.read()
    if sign is None:
        print("mezcal: no role was started here", file=sys.stderr)
        return PROBLEMS
    return OK if sign.healthy() else PROBLEMS
