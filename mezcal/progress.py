"""How far one derivative has come: what has arrived of its master, what is converted of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.origin import Master


@dataclass(frozen=True, slots=True)
class Stage:
    """A moment's progress: bytes of the master, how many it has (None if unknown), and the fraction converted."""

    bytes: int = 0
    bytes_total: int | None = None
    converted: float = 0.0


class Progress:
    """Filled in by whoever makes the derivative, read by whoever tells of it, in another thread."""

    def __init__(self) -> None:
        self._master: Master | None = None
        self._converted = 0.0

    def reading(self, master: Master) -> None:
        """Note where the bytes come from."""
        self._master = master

    def converting(self, fraction: float) -> None:
        """Note the fraction of rows done."""
        self._converted = fraction

    @property
    def stage(self) -> Stage:
        """The progress now."""
        if self._master is None:
            return Stage()
        return Stage(self._master.arrived(), self._master.size, round(self._converted, 3))
