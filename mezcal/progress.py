"""How far one derivative has come: what has arrived of its masters, what is converted; and how long each phase took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.origin import Master
    from mezcal.store.values import Sidecar


@dataclass(frozen=True, slots=True)
class Stage:
    """A moment's progress: bytes of the master, how many it has (None if unknown), and the fraction converted."""

    bytes: int = 0
    bytes_total: int | None = None
    converted: float = 0.0


class Progress:
    """Filled in by whoever makes the derivative, read by whoever tells of it, in another thread."""

    def __init__(self) -> None:
        self.made: Sidecar | None = None
        self._began = time.monotonic()
        self._masters: list[Master] = []
        self._converted = 0.0
        self._moments: dict[str, float] = {}

    def reading(self, *masters: Master) -> None:
        """Note where the bytes come from."""
        self._moments["reading"] = time.monotonic()
        self._masters = list(masters)

    def converting(self, fraction: float) -> None:
        """Note the fraction of rows done."""
        self._converted = fraction

    def drawn(self, sidecar: Sidecar) -> None:
        """Note that the picture is done, and what it is."""
        self._moments["drawn"] = time.monotonic()
        landed = [moment for master in self._masters if (moment := master.landed()) is not None]
        if landed:  # a folder's masters need not arrive
            self._moments["landed"] = max(landed)
        self.made = sidecar

    def stored(self) -> None:
        """Note that the picture is in the store."""
        self._moments["stored"] = time.monotonic()

    @property
    def stage(self) -> Stage:
        """The progress now."""
        if not self._masters:
            return Stage()
        sizes = [master.size for master in self._masters]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        return Stage(sum(master.arrived() for master in self._masters), total, round(self._converted, 3))

    @property
    def phases(self) -> dict[str, float]:
        """Seconds of `download`, `convert` and `store`, as far as it came; the first two overlap."""
        spans = {"download": (None, "landed"), "convert": ("reading", "drawn"), "store": ("drawn", "stored")}
        return {
            phase: self._moments[end] - (self._moments[start] if start else self._began)
            for phase, (start, end) in spans.items()
            if end in self._moments
        }
