"""`mezcal listen`: follows the queues in which a repository or an archive announces its masters."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from mezcal.commands.arguments import add_data_dir, settings_of
from mezcal.commands.roles.usable_broker import refuse_unusable_broker
from mezcal.ingest.queues import QueueAddress
from mezcal.runtime import processes
from mezcal.runtime.up.environment import handed_on
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Follow message queues, in the foreground, and make the images that their messages ask for, as webhooks do. A message is
acknowledged when it is recorded; what cannot be understood goes to the error queue. Queues that cannot be reached are
tried again for ever. docs/queues.md has the URLs and the forms of messages.

example: mezcal listen stomp://user:password@activemq:61613/queue/images"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    parser.add_argument("urls", nargs="*", metavar="URL", help="queues to follow, instead of LISTEN_URLS")
    add_data_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replace this process by the listener. Raises `WrongSetting` for a URL that cannot be used."""
    settings = settings_of(options)
    urls = options.urls or [secret.get_secret_value() for secret in settings.listen_urls]
    if not urls:
        raise WrongSetting("no queue is named: set LISTEN_URLS, or give its URL")
    for url in urls:
        QueueAddress.parse(url)
    refuse_unusable_broker(settings)
    heartbeat = Path(os.environ.get("WORKER_HEARTBEAT") or Path(gettempdir()) / f"mezcal-{os.getpid()}.alive")
    heartbeat.unlink(missing_ok=True)
    env = handed_on(settings, os.environ) | {"LISTEN_URLS": ",".join(urls), "WORKER_HEARTBEAT": str(heartbeat)}
    return processes.become(processes.LISTENER, processes.HealthSign(heartbeats=(heartbeat,)), env)
