"""Limits how often an address may try to sign in at the operator's page."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BURST = 10  # attempts that an address may make at once
INTERVAL = 6.0  # seconds until it may make another one
ADDRESSES_MAX = 1024  # that are remembered, the most recent ones


class SignInLimit:
    """Counts sign-in attempts by address, in this process only: signing in must work while the broker is down."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._used_until: OrderedDict[str, float] = OrderedDict()  # by address: when its attempts no longer count

    def count(self, client: str) -> float:
        """Count an attempt from *client*. Returns 0 if it is allowed, else the seconds until one is allowed."""
        with self._lock:
            now = self._clock()
            until = max(self._used_until.pop(client, now), now)
            wait = until - now - (BURST - 1) * INTERVAL
            self._used_until[client] = until + INTERVAL if wait <= 0 else until
            if len(self._used_until) > ADDRESSES_MAX:
                self._used_until.popitem(last=False)
            return max(wait, 0.0)

    def reset(self, client: str) -> None:
        """Forget the attempts from *client*, because the last one succeeded."""
        with self._lock:
            self._used_until.pop(client, None)
