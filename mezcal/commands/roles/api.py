"""`mezcal api`: the API by itself, in front of workers that run elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_place, near

if TYPE_CHECKING:
    import argparse

API = """\
Answer requests, in the foreground: what is in the store at once, what is not when a worker has made it. REDIS_URL
names the Redis that it shares with the workers. SIGTERM answers those who wait, within DRAIN_SECONDS."""


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    api = commands.add_parser("api", help="run the API, for an installation of several", description=API)
    add_place(api, 5000)
    api.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Become gunicorn."""
    from mezcal.jobs.transport.redis_connection import redis_url  # noqa: PLC0415
    from mezcal.runtime import processes  # noqa: PLC0415 - --help needs none of it
    from mezcal.settings import load  # noqa: PLC0415

    settings = load()
    redis_url(settings)  # refuses to start without, in one line
    bind = f"[{options.host}]:{options.port}" if ":" in options.host else f"{options.host}:{options.port}"
    sign = processes.HealthSign(
        url=f"{near(options.host, options.port)}/healthz"
    )  # hits are served whatever else is away
    return processes.become(processes.api(bind, settings.api_processes), sign, os.environ)
