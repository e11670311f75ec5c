"""`mezcal flower`: only the dashboard, for an installation on several machines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mezcal.commands.arguments import add_address
from mezcal.commands.roles.usable_broker import refuse_unusable_broker
from mezcal.runtime import processes
from mezcal.runtime.address import Address, is_loopback
from mezcal.settings import load

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Show workers and tasks in a browser, in the foreground. FLOWER_BASIC_AUTH (user:password), or the file that
FLOWER_BASIC_AUTH_FILE names, says who may sign in; without them a password is created and kept. The dashboard
has no TLS: keep its port on loopback or on an internal network.

example: mezcal flower --port 5555"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    add_address(parser, 5555)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replace this process by Flower. Raises the error if REDIS_URL is missing or names an unusable server."""
    refuse_unusable_broker(load())
    address = Address(options.host, options.port, is_loopback(options.host))
    sign = processes.HealthSign(url=f"{address.url}healthcheck")
    return processes.become(processes.flower(options.host, options.port), sign, os.environ)
