"""`mezcal worker`: one worker by itself, for as many machines as there are."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import at_least_one

if TYPE_CHECKING:
    import argparse

    from mezcal.settings import Settings

WORKER = """\
Make derivatives, in the foreground, for the installation whose Redis REDIS_URL names. Workers share nothing but
Redis and the store: start as many as you like, on as many machines. SIGTERM lets what runs end within
DRAIN_SECONDS and gives the rest back."""


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    worker = commands.add_parser("worker", help="run one worker, for an installation of several", description=WORKER)
    worker.add_argument(
        "--lanes",
        choices=("interactive", "bulk", "both"),
        default="both",
        help="what it works on: what somebody waits for, what nobody does, or both (default: %(default)s)",
    )
    worker.add_argument(
        "--concurrency",
        type=_count,
        default=0,
        metavar="auto|N",
        help="processes that convert; auto: as many as this container has cores and memory for (default: auto)",
    )
    worker.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Become the worker."""
    from mezcal.runtime import processes as roles  # noqa: PLC0415 - --help needs none of it
    from mezcal.runtime.memory_budget import processes  # noqa: PLC0415
    from mezcal.settings import load  # noqa: PLC0415

    settings = load()
    count = options.concurrency or processes(settings.worker_memory, spare=options.lanes != "bulk")
    name = f"{options.lanes}-{os.getpid()}@%h"
    return become_worker(settings, roles.worker(roles.LANES[options.lanes], count, name, settings.log_level))


def become_worker(settings: Settings, argv: tuple[str, ...]) -> int:
    """Become the Celery worker *argv*, which shows that it lives by WORKER_HEARTBEAT or a file of its own."""
    from mezcal.jobs.transport.redis_connection import redis_url  # noqa: PLC0415
    from mezcal.runtime import processes as roles  # noqa: PLC0415

    redis_url(settings)  # refuses to start without, in one line
    named = os.environ.get("WORKER_HEARTBEAT") or Path(tempfile.gettempdir()) / f"mezcal-{os.getpid()}.alive"
    heartbeat = Path(named)
    heartbeat.unlink(missing_ok=True)
    env = {**os.environ, "WORKER_HEARTBEAT": str(heartbeat)}
    return roles.become(argv, roles.HealthSign(heartbeat=heartbeat), env)


def _count(text: str) -> int:
    """A number of processes; 0 for `auto`."""
    return 0 if text == "auto" else at_least_one(text)
