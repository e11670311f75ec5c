"""Limits how many wrong tokens a client may send.

A right token is accepted from a client that has sent a few wrong ones: clients behind one proxy may share an address,
and none of them may lock out the others. Only after many is nothing of the client looked at for a while.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BURST = 10  # wrong tokens of a client that are answered as such; those after them are too many
IGNORED_AFTER = 100  # wrong tokens after which none of the client is looked at, unless it has sent a right one before
INTERVAL = 6.0  # seconds after which one wrong token no longer counts
CLIENTS_MAX = 1024  # that are remembered, the most recent ones


class TokenAttempts:
    """Counts wrong tokens by client, in this process only: signing in must work while the broker is down."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong_until: OrderedDict[str, float] = OrderedDict()  # by client: when its wrong tokens no longer count
        self._known: OrderedDict[str, None] = OrderedDict()  # clients that have sent a right token

    def is_ignored(self, client: str) -> bool:
        """Return True if no token of *client* may be looked at now."""
        with self._lock:
            return client not in self._known and self._counted(client) > (IGNORED_AFTER - 1) * INTERVAL

    def wrong(self, client: str) -> float:
        """Count a wrong token of *client*. Returns the seconds until another may be sent, 0 if it may be sent now."""
        with self._lock:
            counted = min(self._counted(client) + INTERVAL, IGNORED_AFTER * INTERVAL)
            self._wrong_until[client] = self._clock() + counted
            _keep_recent(self._wrong_until, client)
            return max(counted - BURST * INTERVAL, 0.0)

    def right(self, client: str) -> None:
        """Note a right token of *client*."""
        with self._lock:
            self._known[client] = None
            _keep_recent(self._known, client)

    def _counted(self, client: str) -> float:
        """Return the seconds until the wrong tokens of *client* no longer count: INTERVAL for each."""
        return max(self._wrong_until.get(client, 0.0) - self._clock(), 0.0)


def _keep_recent(clients: OrderedDict[str, float] | OrderedDict[str, None], client: str) -> None:
    clients.move_to_end(client)
    if len(clients) > CLIENTS_MAX:
        clients.popitem(last=False)
