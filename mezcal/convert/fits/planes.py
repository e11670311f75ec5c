"""A frame's pixels in blocks of rows: a frame of any size passes through a few megabytes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mezcal.convert.fits.tiles import Tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

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


class Spilled:
    """Pixels decoded once, for looks that pass over them twice: in memory as far as `HELD_MOST`, the rest in a
    file without a name.
    """

    def __init__(self, plane: Plane, folder: Path) -> None:
        self.shape = rows, columns = plane.shape
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - lives as we do
        first = plane.rows(0, 1)
        self._dtype = first.dtype
        self._head = np.empty((min(rows, HELD_MOST // first.nbytes // BLOCK * BLOCK), columns), self._dtype)
        for start, stop in blocks(rows, BLOCK):
            block = plane.rows(start, stop)
            if stop <= len(self._head):
                self._head[start:stop] = block
            else:
                self._file.write(np.ascontiguousarray(block))  # type: ignore[arg-type]  # arrays are buffers

    def rows(self, start: int, stop: int) -> Pixels:
        """The rows, read back where they are not in memory."""
        held = len(self._head)
        if stop <= held:
            return self._head[start:stop]
        tail = np.empty((stop - max(start, held), self.shape[1]), self._dtype)
        self._file.seek((max(start, held) - held) * self.shape[1] * self._dtype.itemsize)
        self._file.readinto(tail)  # type: ignore[attr-defined]  # a regular file gives all it has
        return tail if start >= held else np.concatenate([self._head[start:], tail])


def blocks(rows: int, step: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each block of *step* rows, the last one may be shorter."""
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def release(plane: Plane) -> None:
    """Give back what *plane* holds in memory, if it can be had again: of three frames one is worked on."""
    if isinstance(plane, Whole):
        plane.release()


def twice(plane: Plane, folder: Path) -> Plane:
    """*plane* in a form in which reading it a second time costs no decoding."""
    if isinstance(plane, Tiles) and plane.nbytes <= HELD_MOST:
        return Held(plane.rows(0, plane.shape[0]))
    compressed = isinstance(plane, Sections) and type(plane.section).__name__ == "CompImageSection"
    return Spilled(plane, folder) if compressed else plane
