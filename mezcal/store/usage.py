"""How much a store holds, as far as that can be told in a moment."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.store.local.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_SECONDS = 0.2  # a page waits for this; a store of millions is not counted while somebody waits
FRESH_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """How many derivatives there are, and their bytes."""

    derivatives: int
    bytes: int


class Counted:
    """A look at a store, shared for *fresh* seconds; *look* takes at most the seconds that it is given."""

    def __init__(self, look: Callable[[float], Usage | None], fresh: float = FRESH_SECONDS) -> None:
        self._look = look
        self._fresh = fresh
        self._lock = threading.Lock()
        self._usage: Usage | None = None
        self._until = 0.0

    def now(self, otherwise: Callable[[], Usage | None]) -> Usage | None:
        """What there is; what *otherwise* says where it is too much to be counted in a moment."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._usage = self._look(LOOK_SECONDS) or otherwise()
                self._until = time.monotonic() + self._fresh
            return self._usage


def count(root: Path, seconds: float) -> Usage | None:
    """The derivatives under *root*; None where counting them takes longer than *seconds*."""
    deadline = time.monotonic() + seconds
    number = total = 0
    for found in Walk(root):
        if found.size is not None:
            number, total = number + 1, total + found.size
        if time.monotonic() > deadline:
            return None
    return Usage(number, total)
