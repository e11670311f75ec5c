"""The progress of one job: how much of its masters has arrived and is converted, and how long each phase took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.origin import Master
    from mezcal.store.values import Sidecar


@dataclass(frozen=True, slots=True)
class Stage:
    """The progress at one moment: bytes received, bytes in all (None if unknown), and the fraction converted.

    *storing* is for how many seconds the picture has waited for the store, 0 before it is complete. *arrived* is the
    seconds after which all bytes had arrived, None before.
    """

    bytes: int = 0
    bytes_total: int | None = None
    converted: float = 0.0
    storing: int = 0
    arrived: float | None = None


class Progress:
    """Written by the thread that makes the derivative, read by the thread that reports it."""

    def __init__(self) -> None:
        self.made: Sidecar | None = None
        self.differing = 0  # downloads whose digest was not the one that the origin declares
        self._began = time.monotonic()
        self._masters: list[Master] = []
        self._converted = 0.0
        self._moments: dict[str, float] = {}

    def reading(self, *masters: Master) -> None:
        """Record that *masters* are open."""
        self._moments["reading"] = time.monotonic()
        self._masters = list(masters)

    def converting(self, fraction: float) -> None:
        """Record the fraction of rows that are converted."""
        self._converted = fraction

    def drawn(self, sidecar: Sidecar) -> None:
        """Record that the picture is complete, and its *sidecar*."""
        self._moments["drawn"] = time.monotonic()
        completed = self._completed()
        if (
            completed is not None and completed > self._began
        ):  # else they were downloaded for another job, or not at all
            self._moments["downloaded"] = completed
        self.made = sidecar

    def stored(self) -> None:
        """Record that the derivative is stored."""
        self._moments["stored"] = time.monotonic()

    @property
    def shares_download(self) -> bool:
        """True if all masters were downloaded by another process."""
        return bool(self._masters) and all(master.shared for master in self._masters)

    @property
    def stage(self) -> Stage:
        """The present progress."""
        if not self._masters:
            return Stage()
        sizes = [master.size for master in self._masters]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        received = sum(master.bytes_received() for master in self._masters)
        drawn = self._moments.get("drawn")
        storing = int(time.monotonic() - drawn) if drawn else 0
        completed = self._completed()
        arrived = None if completed is None else round(max(0.0, completed - self._began), 3)
        return Stage(received, total, round(self._converted, 3), storing, arrived)

    def _completed(self) -> float | None:
        """Return when the last master had arrived, None if one has not, or is not downloaded."""
        moments = [master.completed_at() for master in self._masters]
        complete = [moment for moment in moments if moment is not None]
        return max(complete) if complete and len(complete) == len(moments) else None

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """Begin and end (`time.monotonic`) of the completed phases: `download`, `convert` and `store`.

        The first two overlap.
        """
        known = {"download": (None, "downloaded"), "convert": ("reading", "drawn"), "store": ("drawn", "stored")}
        return {
            phase: (self._moments[start] if start else self._began, self._moments[end])
            for phase, (start, end) in known.items()
            if end in self._moments
        }

    @property
    def phases(self) -> dict[str, float]:
        """Seconds of the completed phases."""
        return {phase: ended - began for phase, (began, ended) in self.spans.items()}
