"""`mezcal api`: only the API, in front of workers that run elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from mezcal.commands.arguments import add_address
from mezcal.commands.roles.own_store import report_claim
from mezcal.commands.roles.usable_broker import refuse_unusable_broker
from mezcal.runtime import processes
from mezcal.runtime.address import Address, is_loopback
from mezcal.runtime.host_names import only_own_names
from mezcal.settings import load

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Answer requests, in the foreground: cached images at once, others when a worker has made them. REDIS_URL names
the Redis that the API shares with the workers. On SIGTERM it answers the clients that wait, for DRAIN_SECONDS
at most, and ends.

example: mezcal api --host 0.0.0.0 --port 5000"""

EXPOSED = """\
mezcal: {host} can be reached by other machines, and no server in front is known (SENDFILE_HEADER is not set): slow \
clients can hold all threads of the API; docs/http.md says how to put nginx in front"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    add_address(parser, 5000)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replace this process by gunicorn. Raises the error if a setting, or the server of REDIS_URL, cannot be used."""
    settings = load()
    processes.check_origin(settings)
    refuse_unusable_broker(settings)
    report_claim(settings)
    address = Address(options.host, options.port, is_loopback(options.host))
    if settings.sendfile_header is None and not address.loopback:
        print(EXPOSED.format(host=options.host), file=sys.stderr, flush=True)
    env = dict(os.environ)
    if address.loopback:
        env["ALLOWED_HOSTS"] = ",".join(only_own_names(settings, address.host).allowed_hosts)
    # not /readyz: cached images are served even if Redis or the store cannot be used
    sign = processes.HealthSign(url=f"{address.url}healthz")
    return processes.become(processes.api(address.bind, settings.api_processes), sign, env)
