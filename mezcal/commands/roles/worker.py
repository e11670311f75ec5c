"""`mezcal worker`: one worker by itself, for as many machines as there are."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.commands.arguments import at_least_one
from mezcal.jobs.transport.redis_connection import redis_url
from mezcal.runtime import processes as roles
from mezcal.runtime.memory_budget import processes
from mezcal.settings import load

if TYPE_CHECKING:
    import argparse

    from mezcal.settings import Settings

DESCRIPTION = """\
Make derivatives, in the foreground, for the installation whose Redis REDIS_URL names. Workers share only Redis
and the store: start as many as you like, on as many machines. On SIGTERM the running jobs may end, for
DRAIN_SECONDS at most; the others are given back.

example: mezcal worker --lanes interactive"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "--lanes",
        choices=("interactive", "bulk", "both"),
        default="both",
        help="what it works on: what a client waits for, what no client waits for, or both (default: %(default)s)",
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
    """Become the worker."""
    settings = load()
    count = options.concurrency or processes(settings.worker_memory, spare=options.lanes != "bulk")
    name = f"{options.lanes}-{os.getpid()}@%h"
    return become_worker(settings, roles.worker(roles.LANES[options.lanes], count, name, settings.log_level))


def become_worker(settings: Settings, argv: tuple[str, ...]) -> int:
    """Become the Celery worker *argv*, which shows that it lives by WORKER_HEARTBEAT or a file of its own."""
    redis_url(settings)  # refuses to start without, in one line
    named = os.environ.get("WORKER_HEARTBEAT") or Path(tempfile.gettempdir()) / f"mezcal-{os.getpid()}.alive"
    heartbeat = Path(named)
    heartbeat.unlink(missing_ok=True)
    env = {**os.environ, "WORKER_HEARTBEAT": str(heartbeat)}
    return roles.become(argv, roles.HealthSign(heartbeat=heartbeat), env)


def _count(text: str) -> int:
    """A number of processes; 0 for `auto`."""
    return 0 if text == "auto" else at_least_one(text)
