"""`mezcal worker`: the worker of one machine or container, for as many of them as there are."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.commands.arguments import at_least_one
from mezcal.commands.roles.own_store import report_claim
from mezcal.commands.roles.usable_broker import refuse_unusable_broker
from mezcal.runtime import processes as roles
from mezcal.runtime.memory_budget import processes
from mezcal.runtime.up.log_relay import Journal
from mezcal.runtime.up.supervisor import Supervisor
from mezcal.runtime.up.worker_parts import WorkerParts, split
from mezcal.settings import load
from mezcal.telemetry.memory_folder import memory_folder
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    import argparse

    from mezcal.settings import Settings

DESCRIPTION = """\
Make derivatives, in the foreground, for the installation whose Redis REDIS_URL names. Workers share only Redis
and the store: start as many as you like, on as many machines. With two processes or more, this
starts two Celery workers: one with INTERACTIVE_RESERVE processes for the interactive lane alone, and one with the rest
for all lanes. On SIGTERM running jobs may end, for DRAIN_SECONDS at most; the others go back to the queue.

example: mezcal worker --concurrency 4"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "--lanes",
        choices=("interactive", "all"),
        help="start one Celery worker with all processes, for the interactive lane or for all lanes; "
        "without this option, one for each",
    )
    parser.add_argument(
        "--concurrency",
        type=_count,
        default=0,
        metavar="auto|N",
        help="processes that convert; auto: as many as this container has cores and memory for (default: auto)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Become the one Celery worker that is needed, or start and watch two. Returns the exit code.

    Raises the error if a setting, or the server of REDIS_URL, cannot be used.
    """
    settings = load()
    roles.check_origin(settings)
    count = options.concurrency or processes(settings.worker_memory)
    if options.lanes is None and len(split(count, settings.interactive_reserve)) > 1:
        return supervise(settings, count)
    lanes = options.lanes or "all"
    return become_worker(settings, roles.LANES[lanes], count, f"{lanes}-{os.getpid()}@%h")


def supervise(settings: Settings, count: int) -> int:
    """Run the Celery workers for *count* processes until a signal. Returns the exit code."""
    refuse_unusable_broker(settings)
    report_claim(settings)
    json = settings.log_format == "json"
    journal = Journal(sys.stderr.fileno(), Redactor.of(settings), json=json, own_name="mezcal")
    with memory_folder() as folder:
        parts = WorkerParts(settings, folder, f"-{os.getpid()}@%h", os.environ).of(count)
        roles.HealthSign(heartbeats=tuple(Path(part.env["WORKER_HEARTBEAT"]) for part in parts)).write()
        return Supervisor(parts, journal).run(lambda: journal.write_own("the workers are ready"))


def become_worker(settings: Settings, queues: str, count: int, name: str) -> int:
    """Become the Celery worker *name* of *count* processes, which shows that it lives by a file (WORKER_HEARTBEAT)."""
    refuse_unusable_broker(settings)
    report_claim(settings)
    named = os.environ.get("WORKER_HEARTBEAT") or Path(tempfile.gettempdir()) / f"mezcal-{os.getpid()}.alive"
    heartbeat = Path(named)
    heartbeat.unlink(missing_ok=True)
    env = {**os.environ, "WORKER_HEARTBEAT": str(heartbeat)}
    argv = roles.worker(queues, count, name, settings.log_level)
    return roles.become(argv, roles.HealthSign(heartbeats=(heartbeat,)), env)


def _count(text: str) -> int:
    """Read a number of processes; 0 for `auto`."""
    return 0 if text == "auto" else at_least_one(text)
