"""How much a store holds, if that can be counted in a moment."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COUNT_SECONDS = 0.2  # a page waits for this: a store of millions is not counted meanwhile
KEPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The number of derivatives, and their bytes."""

    derivatives: int
    bytes: int


class UsageCache:
    """The usage of a store, counted at most once in *kept_seconds*.

    *sizes* yields the size of each derivative, None or 0 for a folder without one. *surveyed* returns the usage that
    the last survey counted, or None.
    """

    def __init__(
        self,
        sizes: Callable[[], Iterable[int | None]],
        surveyed: Callable[[], Usage | None],
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._sizes = sizes
        self._surveyed = surveyed
        self._kept_seconds = kept_seconds
        self._lock = threading.Lock()
        self._usage: Usage | None = None
        self._until = 0.0

    def usage(self) -> Usage | None:
        """Returns the usage; that of the last survey if counting takes too long."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._usage = self._count() or self._surveyed()
                self._until = time.monotonic() + self._kept_seconds
            return self._usage

    def _count(self) -> Usage | None:
        deadline = time.monotonic() + COUNT_SECONDS
        number = total = 0
        for size in self._sizes():
            number, total = number + bool(size), total + (size or 0)
            if time.monotonic() > deadline:
                return None
        return Usage(number, total)
