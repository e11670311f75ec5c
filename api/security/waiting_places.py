"""Limits how many requests wait for jobs at once in this process: in all, of one client, for one of several origins."""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.errors import Busy, ShareExceeded
from mezcal.telemetry.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNLIMITED = ""  # the client, or the origin, of requests that no share limits
ORIGIN_SHARE = 0.75  # of the places, for requests that wait for masters of one origin
RECENT = 16  # ends of waits by which the time until the next one is estimated


@dataclass(slots=True)
class HeldPlaces:
    """The places of one client: when its waits *end* at the latest, and when the last ones have ended."""

    ends: list[float] = field(default_factory=list)
    freed: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def seconds_until_free(self, count: int, now: float) -> float:
        """Return the seconds until so many of the places are free, at the pace of the last ones."""
        latest = heapq.nsmallest(count, self.ends)[-1] - now
        if not self.freed:
            return latest
        return min(latest, count * (now - self.freed[0]) / len(self.freed))


class WaitingPlaces:
    """The places for requests that wait for jobs: threads of this process, so each process counts its own.

    A client may have the part *share* of its own and the free places together, so that it cannot take the last ones:
    alone it gets three of four if *share* is 0.75, and less the more others hold. The same is true of an origin: those
    who wait for a slow one leave places to the others.
    """

    def __init__(self, most: int, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._share, self._clock = most, share, clock
        self._lock = threading.Lock()
        self._taken = 0
        self._held: dict[str, HeldPlaces] = {}  # only clients that hold places
        self._of_origins: Counter[str] = Counter()

    def limit(self, most: int) -> None:
        """Have *most* places at most."""
        self._most = min(self._most, most)

    @contextmanager
    def hold(self, client: str, seconds: float, origin: str = UNLIMITED) -> Iterator[None]:
        """Hold a place for a wait of *seconds* at most, for a master of *origin*.

        Raises `Busy` if all places are taken or *origin* has its share, and `ShareExceeded` if *client* has its share.
        """
        with self._lock:
            ends = self._clock() + seconds
            self._check_origin(origin)
            self._take(client, ends)
            self._of_origins[origin] += 1
        metrics().waiting_requests.inc()
        try:
            yield
        finally:
            metrics().waiting_requests.dec()
            with self._lock:
                self._of_origins[origin] -= 1
                self._free(client, ends)

    def _take(self, client: str, ends: float) -> None:
        if client != UNLIMITED:
            self._check_share(client)
        if self._taken >= self._most:
            raise Busy(f"{self._most} requests wait already: ask again in a moment")
        self._taken += 1
        if client != UNLIMITED:
            self._held.setdefault(client, HeldPlaces()).ends.append(ends)

    def _check_origin(self, origin: str) -> None:
        """Raise `Busy` if *origin* has its share. One without a place may take any free one."""
        held = self._of_origins[origin] if origin != UNLIMITED else 0
        if held and held + 1 > int(ORIGIN_SHARE * (held + self._most - self._taken)):
            raise Busy(f"{held} requests wait for images of this origin already: ask again in a moment")

    def _check_share(self, client: str) -> None:
        """Raise `ShareExceeded` if *client* has its share. A client without a place may take any free one."""
        held = self._held.get(client)
        if held is None:
            return
        count, free = len(held.ends), self._most - self._taken
        excess = count + 1 - int(self._share * (count + free))
        if excess > 0:
            seconds = held.seconds_until_free(min(excess, count), self._clock())
            raise ShareExceeded.of(f"{count} of your requests wait already: let them be answered first", seconds)

    def _free(self, client: str, ends: float) -> None:
        self._taken -= 1
        held = self._held.get(client)
        if held is None:
            return
        held.ends.remove(ends)
        held.freed.append(self._clock())
        if not held.ends:
            del self._held[client]
