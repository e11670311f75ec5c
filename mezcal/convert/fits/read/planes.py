"""The pixels of a frame as rows: the interface between reading and drawing.

A frame of any size is read in blocks of a few megabytes. Drawing knows only `Plane`, and not how its rows are read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Pixels = NDArray[Any]

WHOLE_MAX = 128 * 2**20  # bytes: up to this size a whole plane is decoded at once, which is faster
SMALL_BLOCK = 64  # rows read at a time: such a block stays in the processor's cache
BLOCK_BYTES = 16 * 2**20  # of a block at most: rows may be long
PIXEL_BYTES = 8  # at most
LARGE_BLOCK = 256  # the same, if reading a block costs half a millisecond


class Plane(ABC):
    """Two-dimensional pixels. *shape* is rows and columns; row 0 is the lowest, as in FITS."""

    shape: tuple[int, int]
    block_rows: ClassVar[int] = SMALL_BLOCK  # rows that are best read at a time

    @abstractmethod
    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows from *start* to before *stop*. The caller must not change them."""

    def pixels_at(self, places: NDArray[np.int64]) -> Pixels:
        """Returns single pixels. *places* are counted row after row, and in ascending order."""
        columns = self.shape[1]
        rows, first = np.unique(places // columns, return_index=True)
        runs = [slice(*bounds) for bounds in pairwise([*first.tolist(), len(places)])]
        across = places % columns
        values = [self.rows(row, row + 1)[0, across[run]] for row, run in zip(rows.tolist(), runs, strict=True)]
        return np.concatenate(values)

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
        """Returns *rows* and *columns*, each from the first to before the last. The caller must not change them."""
        return self.rows(*rows)[:, columns[0] : columns[1]]

    def for_rows(self, _start: int, _stop: int) -> Plane:
        """Returns the plane that is best for reading only the rows from *start* to before *stop*."""
        return self

    def for_window(self, rows: tuple[int, int], _columns: tuple[int, int]) -> Plane:
        """Returns the plane that is best for reading only a window."""
        return self.for_rows(*rows)

    @property
    def decoding_bytes(self) -> int:
        """Bytes that decoding takes, however few rows are read: a tile may be as high as the frame."""
        return 0

    @property
    def row_pixels(self) -> int:
        """The pixels that are read for a row."""
        return self.shape[1]

    def block_height(self, step: int = 1) -> int:
        """Returns how many rows are best read at a time: a multiple of *step*, and fewer if they are long."""
        most = min(self.block_rows, BLOCK_BYTES // (PIXEL_BYTES * self.row_pixels))
        return max(1, most // step) * step

    def block_bytes(self, step: int = 1) -> int:
        """Returns the bytes of such a block while it is worked on: about three copies."""
        return 3 * PIXEL_BYTES * self.row_pixels * min(self.shape[0], self.block_height(step))

    def for_reading_twice(self, _scratch: Path | None) -> Plane:
        """Returns a plane of the same pixels whose second reading costs no decoding, or nearly none.

        It may keep its pixels in a file without a name in the folder *scratch*.
        """
        return self

    def release(self) -> None:  # noqa: B027 - most planes keep nothing
        """Free the memory of pixels that can be read again: of three frames only one is worked on at a time."""


class ArrayPlane(Plane):
    """Pixels in memory."""

    def __init__(self, pixels: Pixels) -> None:
        self.shape = pixels.shape[0], pixels.shape[1]
        self._pixels = pixels

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns a view of the rows."""
        return self._pixels[start:stop]

    def pixels_at(self, places: NDArray[np.int64]) -> Pixels:
        """Returns single pixels."""
        return self._pixels[np.divmod(places, self.shape[1])]


def blocks(rows: int, step: int) -> Iterator[tuple[int, int]]:
    """Yields start and stop of each block of *step* rows; the last one may be shorter."""
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
