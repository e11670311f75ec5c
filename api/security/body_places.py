"""Places for bodies that are read before their senders are known: some in all, a few for each client."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import Busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 0.5  # after which a body that is not complete may lose its place to a newer one


@dataclass(frozen=True, slots=True, eq=False)
class ArrivingBody:
    """A body that has a place since *since*; *cut* ends its arrival, and is None if nothing can."""

    client: str
    since: float
    cut: Callable[[], None] | None


class BodyPlaces:
    """At most *most* bodies at once, and *most_of_client* of one client.

    If they are all taken, a new body gets the place of the oldest one: of its own client, or else of the client that
    has the most. So bodies that drip keep out no others, and a complete body loses its place to none.
    """

    def __init__(self, most: int, most_of_client: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._most_of_client = most, most_of_client
        self._clock = clock
        self._lock = threading.Lock()
        self._bodies: list[ArrivingBody] = []  # the oldest first

    @contextmanager
    def held(self, client: str, cut: Callable[[], None] | None) -> Iterator[None]:
        """Hold a place for a body of *client*. Raises `Busy` if there is none, and all other bodies are new."""
        body = ArrivingBody(client, self._clock(), cut)
        self._take(body)
        try:
            yield
        finally:
            self._release(body)

    def _take(self, body: ArrivingBody) -> None:
        with self._lock:
            rivals = self._rivals(body.client)
            if rivals:
                oldest = rivals[0]
                if oldest.cut is None or body.since - oldest.since < PATIENCE_SECONDS:
                    raise Busy("too many bodies arrive at once: send it again")
                self._bodies.remove(oldest)
                oldest.cut()
            self._bodies.append(body)

    def _rivals(self, client: str) -> list[ArrivingBody]:
        """Return the bodies one of which has to leave before *client* gets a place, the oldest first."""
        counts = Counter(body.client for body in self._bodies)
        if counts[client] >= self._most_of_client:
            return self._of(client)
        return self._of(max(counts, key=counts.__getitem__)) if len(self._bodies) >= self._most else []

    def _of(self, client: str) -> list[ArrivingBody]:
        return [body for body in self._bodies if body.client == client]

    def _release(self, body: ArrivingBody) -> None:
        with self._lock:
            if body in self._bodies:
                self._bodies.remove(body)
