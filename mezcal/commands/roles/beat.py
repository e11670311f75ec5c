"""`mezcal beat`: periodic work by itself, so that it is done where every other worker is busy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

BEAT = """\
Do periodic work and nothing else, in the foreground: chores, the spreading of bulk requests, and every two seconds
what was lost is put right. Every worker does the same when it has time, and each chore is done once in its interval
however many there are: so two of these are harmless, and none is missed until all workers are busy."""


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    beat = commands.add_parser("beat", help="run periodic work only, beside workers that are busy", description=BEAT)
    beat.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Become a worker that takes from the queue of periodic work alone."""
    from mezcal.commands.roles.worker import become_worker  # noqa: PLC0415
    from mezcal.runtime import processes  # noqa: PLC0415 - --help needs none of it
    from mezcal.settings import load  # noqa: PLC0415

    settings = load()
    return become_worker(settings, processes.worker(processes.CHORES, 1, f"beat-{os.getpid()}@%h", settings.log_level))
