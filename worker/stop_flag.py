"""Tells the pool processes of a worker that it stops: by a byte of memory that they share with its main process."""

from __future__ import annotations

import mmap
from functools import cache


@cache
def _shared_byte() -> mmap.mmap:
    return mmap.mmap(-1, 1)


def share() -> None:
    """Make the flag. Called before the first fork, so that all pool processes inherit it."""
    _shared_byte()


def note_stop() -> None:
    """Record that this worker takes no more jobs."""
    _shared_byte()[0] = 1


def is_stopping() -> bool:
    """Return True if the worker of this process takes no more jobs."""
    return _shared_byte()[0] == 1
