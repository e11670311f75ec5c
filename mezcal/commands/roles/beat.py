"""`mezcal beat`: only periodic work, for installations whose workers are all busy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mezcal.commands.roles.worker import become_worker
from mezcal.runtime import processes
from mezcal.settings import load

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Do periodic work only, in the foreground: chores, the queueing of bulk requests, and every two seconds the
repair of lost jobs. Every worker does the same when it has time, and each chore is done once in its interval
however many there are: several of these do no harm, and without one the work is done unless all workers are busy.

example: mezcal beat"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description of the command to *parser*."""
    parser.description = DESCRIPTION
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Replace this process by a worker that takes periodic work only. Raises the error if a setting cannot be used."""
    settings = load()
    processes.check_origin(settings)
    return become_worker(settings, processes.CHORES, 1, f"beat-{os.getpid()}@%h")
