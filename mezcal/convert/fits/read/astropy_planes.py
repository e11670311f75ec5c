"""Planes that astropy reads: every layout that FITS has, by its public interface."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.read.file.byte_ranges import fill
from mezcal.convert.fits.read.layout import Layout
from mezcal.convert.fits.read.planes import LARGE_BLOCK, WHOLE_MAX, Plane, blocks
from mezcal.convert.fits.read.tiles.tile_streams import check_streams

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.convert.fits.read.planes import Pixels

FEW_ROWS = 4  # times as many rows as are read: decoding all of them takes longer than decoding some again


def read_by_astropy(hdu: Any, file: BinaryIO, number: int) -> Plane:
    """Returns the *number*-th plane of *hdu*, from 0. Raises `Undecodable` if a tile inflates to more than its size."""
    layout = Layout.of(hdu)
    compressed = isinstance(hdu, fits.CompImageHDU)
    tile_bytes = check_streams(hdu, file) if compressed else None
    plane = AstropyPlane(hdu.section, layout, number, tile_bytes)
    high_tiles = compressed and hdu.tile_shape[layout.row_axis] > LARGE_BLOCK
    rows, columns = layout.plane_shape
    pixel_bytes = max(4, abs(hdu.header["BITPIX"]) // 8)  # short integers may be scaled, and are floats then
    pixel_bytes *= layout.row_pixels // columns  # all colours are decoded together
    small = rows * columns * pixel_bytes <= WHOLE_MAX and (len(layout.shape) == 2 or not layout.is_usual)
    return CachedPlane(plane, pixel_bytes) if high_tiles or small else plane


class AstropyPlane(Plane):
    """Pixels that astropy reads and decodes again each time: those of the *number*-th plane of a *layout*, from 0.

    *tile_bytes* are those that decoding a tile takes, None if the frame is not compressed.
    """

    block_rows = LARGE_BLOCK

    def __init__(self, section: Any, layout: Layout, number: int, tile_bytes: int | None) -> None:
        self.shape = layout.plane_shape
        self._section, self._layout, self._number, self._tile_bytes = section, layout, number, tile_bytes

    @property
    def row_pixels(self) -> int:
        """Those of all colours, if they are next to each other."""
        return self._layout.row_pixels

    @property
    def decoding_bytes(self) -> int:
        """Those of a tile."""
        return self._tile_bytes or 0

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows, read and decoded again."""
        return self._layout.rows(self._section, self._number, start, stop)

    def for_reading_twice(self, scratch: Path | None) -> Plane:
        """Returns the decoded pixels, partly in a scratch file, if the frame is compressed."""
        return self if self._tile_bytes is None else SpilledPlane(self, scratch)


class CachedPlane(Plane):
    """Pixels that are decoded at once when the first row is read, and kept until they are released."""

    def __init__(self, plane: Plane, pixel_bytes: int) -> None:
        self.shape = plane.shape
        self._plane, self._pixel_bytes = plane, pixel_bytes
        self._pixels: Pixels | None = None

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns a view of the rows."""
        if self._pixels is None:
            self._pixels = self._plane.rows(0, self.shape[0])
        return self._pixels[start:stop]

    def for_rows(self, start: int, stop: int) -> Plane:
        """Returns the plane without its cache if few rows will be read."""
        return self._plane if (stop - start) * FEW_ROWS <= self.shape[0] and self._pixels is None else self

    @property
    def decoding_bytes(self) -> int:
        """All pixels, and what decoding takes in addition."""
        return max(2 * self._pixel_bytes * self.shape[0] * self.shape[1], self._plane.decoding_bytes)

    def release(self) -> None:
        """Free the memory. The next `rows` decodes again."""
        self._pixels = None


class SpilledPlane(Plane):
    """Pixels that are decoded once: in memory up to `WHOLE_MAX`, the rest in a file without a name in *folder*.

    Raises `OSError` if the disk has not enough space for them.
    """

    def __init__(self, plane: Plane, folder: Path | None) -> None:
        self.shape = rows, columns = plane.shape
        first = plane.rows(0, 1)
        self._dtype, row_bytes = first.dtype, first.nbytes
        del first  # it may be a view of a whole tile
        step = plane.block_height()
        in_memory = WHOLE_MAX // row_bytes // step * step
        self._head = np.empty((min(rows, in_memory), columns), self._dtype)
        self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - open as long as the plane
        with ExitStack() as on_failure:
            on_failure.enter_context(self._file)
            self._write(plane)
            on_failure.pop_all()

    def _write(self, plane: Plane) -> None:
        for start, stop in blocks(self.shape[0], plane.block_height()):
            block = plane.rows(start, stop)
            if stop <= len(self._head):
                self._head[start:stop] = block
            else:
                self._file.write(np.ascontiguousarray(block).data)
        self._file.flush()

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows, read from the file if they are not in memory."""
        head_rows = len(self._head)
        if stop <= head_rows:
            return self._head[start:stop]
        tail = np.empty((stop - max(start, head_rows), self.shape[1]), self._dtype)
        fill(tail, self._file, (max(start, head_rows) - head_rows) * self.shape[1] * self._dtype.itemsize)
        return tail if start >= head_rows else np.concatenate([self._head[start:], tail])
