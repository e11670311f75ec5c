"""The message queues of LISTEN_URLS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed
from mezcal.ingest.queues import QueueAddress, QueueUnreachable, open_queue

if TYPE_CHECKING:
    from mezcal.settings import Settings

HINT = "check its URL in LISTEN_URLS: host, port, user, password and name; docs/queues.md has examples"


def queue_check(settings: Settings, url: str) -> Check:
    """Check that the queue at *url* can be reached. No message is taken."""
    return Check("queue", partial(_check_queue, settings, url), HINT)


def _check_queue(settings: Settings, url: str) -> str:
    address = QueueAddress.parse(url)
    try:
        open_queue(address, settings).probe()
    except QueueUnreachable as error:
        raise CheckFailed(f"{address.shown}: {error}") from error
    return f"{address.shown} can be reached"
