"""A frame's pixels in blocks of rows: a frame of any size passes through a few megabytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Pixels = NDArray[Any]

HELD_MOST = 128 * 2**20  # bytes: up to here the whole plane is decoded at once, which is quicker
BLOCK = 256  # rows read at a time where it is not: a block's start costs half a millisecond


class Plane(Protocol):
    """Two-dimensional pixels, row 0 the lowest as FITS has it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    def rows(self, start: int, stop: int) -> Pixels:
        """The rows from *start* to before *stop*; not to be written to."""


@runtime_checkable
class KeptRows(Protocol):
    """What keeps pixels that can be had again."""

    def release(self) -> None:
        """Give the memory back; the next `rows` decodes anew."""


@dataclass(frozen=True, slots=True)
class Held:
    """Pixels in memory."""

    pixels: Pixels

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.pixels.shape
        return height, width

    def rows(self, start: int, stop: int) -> Pixels:
        """A view of the rows."""
        return self.pixels[start:stop]

    def at(self, places: NDArray[np.int64]) -> Pixels:
        """Single pixels, counted row after row."""
        return self.pixels[np.divmod(places, self.shape[1])]


class Whole:
    """Pixels decoded at once when they are first wanted, and forgotten when they are not any more."""

    def __init__(self, shape: tuple[int, int], load: Callable[[], Pixels]) -> None:
        self.shape = shape
        self._load = load
        self._pixels: Pixels | None = None

    def rows(self, start: int, stop: int) -> Pixels:
        """A view of the rows."""
        if self._pixels is None:
            self._pixels = self._load()
        return self._pixels[start:stop]

    def release(self) -> None:
        """Give the memory back; the next `rows` decodes anew."""
        self._pixels = None


@dataclass(frozen=True, slots=True)
class Sections:
    """Pixels read from the file when they are wanted; *at* are the indices of a plane in a cube."""

    section: Any  # astropy's, which declares no type
    shape: tuple[int, int]
    at: tuple[int, ...] = ()

    def rows(self, start: int, stop: int) -> Pixels:
        """The rows, read and decoded anew."""
        return np.asarray(self.section[(*self.at, slice(start, stop), slice(None))])


def blocks(rows: int, step: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each block of *step* rows, the last one may be shorter."""
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def release(plane: Plane) -> None:
    """Give back what *plane* holds in memory, if it can be had again: of three frames one is worked on."""
    if isinstance(plane, KeptRows):
        plane.release()
