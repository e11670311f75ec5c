"""How much a store holds, if that can be counted in a moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COUNT_SECONDS = 0.2  # a page waits for this: a store of millions is not counted meanwhile
KEPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The number of derivatives and their bytes, and both by the names of the files, which tell the profile."""

    derivatives: int
    bytes: int
    by_file: tuple[tuple[str, int, int], ...] = ()


class UsageCache:
    """The usage of a store, counted at most once in *kept_seconds*.

    *sizes* yields the file name and the size of each derivative, None or 0 for a folder without one. *surveyed*
    returns the usage that the last survey counted, or None.
    """

    def __init__(
        self,
        sizes: Callable[[], Iterable[tuple[str, int | None]]],
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
        numbers, sizes = Counter[str](), Counter[str]()
        for name, size in self._sizes():
            if size:
                numbers[name] += 1
                sizes[name] += size
            if time.monotonic() > deadline:
                return None
        by_file = tuple((name, numbers[name], sizes[name]) for name in sorted(numbers))
        return Usage(numbers.total(), sizes.total(), by_file)
