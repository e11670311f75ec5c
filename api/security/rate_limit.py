"""How often a stranger may guess a token at the operator's page: a few times, then once in a while."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 10  # tries of one address
EACH = 6.0  # seconds after which it has another
KNOWN = 1024  # addresses that are remembered, the latest
NETWORK = 64  # bits of an IPv6 address: who has one has all that begin so


class SignInLimit:
    """Tries by address, of this process alone: what a broker has to count could not be counted without one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._forgiven: OrderedDict[str, float] = OrderedDict()  # by address, when its last try is

    def take(self, address: str) -> float:
        """Count a try from *address*; seconds after which one is heard again, 0 where this one is."""
        with self._lock:
            now, place = self._clock(), _network(address)
            until = max(self._forgiven.pop(place, now), now)
            heard = until - now <= (AT_ONCE - 1) * EACH
            self._forgiven[place] = until + EACH if heard else until
            if len(self._forgiven) > KNOWN:
                self._forgiven.popitem(last=False)
            return 0.0 if heard else until - now - (AT_ONCE - 1) * EACH

    def forgive(self, address: str) -> None:
        """The try was right: those before it were slips."""
        with self._lock:
            self._forgiven.pop(_network(address), None)


def _network(address: str) -> str:
    try:
        told = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a unix socket's
        return ""
    if told.version == 4:
        return str(told)
    return str(told.ipv4_mapped or ipaddress.ip_network((told.packed, NETWORK), strict=False))
