"""`mezcal flower`: the dashboard by itself, for an installation of several."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_place, near

if TYPE_CHECKING:
    import argparse

FLOWER = """\
Show workers and tasks in a browser, in the foreground. FLOWER_BASIC_AUTH, as user:password, or FLOWER_BASIC_AUTH_FILE,
which names a file with it, says who may look; without either a password is made and kept. It has no TLS of its own:
leave the port on loopback or an internal network."""


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    flower = commands.add_parser("flower", help="run the dashboard, for an installation of several", description=FLOWER)
    add_place(flower, 5555)
    flower.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Become Flower."""
    from mezcal.jobs.transport.redis_connection import redis_url  # noqa: PLC0415
    from mezcal.runtime import processes  # noqa: PLC0415 - --help needs none of it
    from mezcal.settings import load  # noqa: PLC0415

    redis_url(load())  # refuses to start without, in one line
    sign = processes.HealthSign(url=f"{near(options.host, options.port)}/healthcheck")
    return processes.become(processes.flower(options.host, options.port), sign, os.environ)
