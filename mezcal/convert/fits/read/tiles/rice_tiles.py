"""Frames compressed with RICE_1, decoded tile by tile without an object of astropy's for each tile."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mezcal.convert.fits.read.file.byte_ranges import announce, fill
from mezcal.convert.fits.read.planes import WHOLE_MAX, ArrayPlane, Plane
from mezcal.convert.fits.read.tiles.quantization import AT_ONCE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.convert.fits.read.tiles.quantization import IntegerScaling, QuantizedScaling

# The decoder that astropy calls for each tile. It is private: astropy has an upper bound in pyproject.toml, and
# tests/contracts/test_astropy_rice_decoder.py tries each new version. Without it astropy reads these frames.
try:
    from astropy.io.fits.hdu.compressed import _compression
except ImportError:  # pragma: no cover - an astropy that has moved it
    _compression = None
DECODE_RICE: Any = getattr(_compression, "decompress_rice_1_c", None)

READ_AT_ONCE = 64  # tiles whose bytes are read together: memory that is used again costs less than new memory
READ_BYTES = 16 * 2**20  # of their pixels, at most
KEPT_MAX = 128 * 2**20  # bytes of rows that were sampled and will be read again
GUARD = 256  # bytes of ones: a stream that is decoded beyond its end stops in them, after at most 160 bytes

NO_TILES: tuple[int, Pixels] = -1, np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class TileGrid:
    """How a plane is cut into tiles. *first* is the number of the plane's first tile in its cube."""

    shape: tuple[int, int]
    tile: tuple[int, int]
    first: int

    @property
    def across(self) -> int:
        """Tiles side by side."""
        return -(-self.shape[1] // self.tile[1])

    @property
    def tiles(self) -> int:
        """Tiles of the plane."""
        return -(-self.shape[0] // self.tile[0]) * self.across


@dataclass(frozen=True, slots=True)
class TileStreams:
    """The compressed bytes of the tiles in *file*: one stream after the other, without a gap.

    *positions* are those of each stream's first byte, and of the end.
    """

    file: BinaryIO
    positions: NDArray[np.int64]

    def read(self, first: int, last: int) -> tuple[NDArray[np.uint8], list[int]]:
        """Returns the bytes of the tiles from *first* to before *last*, with a guard, and where each stream begins."""
        start, stop = int(self.positions[first]), int(self.positions[last])
        data = np.empty(stop - start + GUARD, np.uint8)
        data[stop - start :] = 255
        fill(data[: stop - start], self.file, start)
        return data, (self.positions[first : last + 1] - start).tolist()

    def announce(self, first: int, last: int) -> None:
        """Tell the file that the tiles from *first* to before *last* will be read."""
        announce(self.file, int(self.positions[first]), int(self.positions[last]))


class RicePlane(Plane):
    """Pixels that are decoded when they are read, a row of tiles at a time.

    *block_size* is the number of pixels in a coding block of RICE. *codes* is the type of the decoded integers.
    """

    def __init__(
        self,
        grid: TileGrid,
        streams: TileStreams,
        scaling: IntegerScaling | QuantizedScaling,
        block_size: int,
        codes: np.dtype[Any],
    ) -> None:
        self.shape = grid.shape
        self._grid, self._streams, self._scaling = grid, streams, scaling
        self._block_size, self._codes = block_size, codes
        self._last = NO_TILES
        self._kept: dict[int, Pixels] = {}  # rows that were sampled

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return prod(self.shape) * self._scaling.dtype.itemsize

    @property
    def decoding_bytes(self) -> int:
        """Those of a row of tiles: codes and pixels, and the pixels of the row before."""
        rows, high = self.shape[0], self._grid.tile[0]
        copies = 1 if high >= rows else 2
        return high * self.shape[1] * (self._codes.itemsize + copies * self._scaling.dtype.itemsize)

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows, read and decoded again."""
        high = self._grid.tile[0]
        if high == 1:
            return self._decode(start, stop)
        parts = []
        for band in range(start // high, -(-stop // high)):
            if self._last[0] != band:  # the last row of tiles is kept: blocks of rows may end anywhere in it
                self._last = band, self._decode(band, band + 1)
            parts.append(self._last[1][max(0, start - band * high) : stop - band * high])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def pixels_at(self, places: NDArray[np.int64]) -> Pixels:
        """Returns single pixels. Their rows are kept, up to `KEPT_MAX`, because they will be read again."""
        rows, columns = np.divmod(places, self.shape[1])
        sampled, first = np.unique(rows, return_index=True)
        row_bytes = self.shape[1] * self._scaling.dtype.itemsize
        most = KEPT_MAX // row_bytes if self._grid.tile[0] == 1 else 0
        kept = np.empty((min(len(sampled), most), self.shape[1]), self._scaling.dtype)
        values = np.empty(len(places), self._scaling.dtype)
        for number, (start, stop) in enumerate(pairwise([*first.tolist(), len(places)])):
            row = int(sampled[number])
            pixels = self.rows(row, row + 1)[0]
            values[start:stop] = pixels[columns[start:stop]]
            if number < most:
                kept[number] = pixels
        self._kept = dict(zip(sampled[:most].tolist(), kept, strict=True))
        return values

    def for_reading_twice(self, _scratch: Path | None) -> Plane:
        """Returns the decoded pixels if they fit into memory. Larger planes keep the rows that were sampled."""
        return ArrayPlane(self.rows(0, self.shape[0])) if self.nbytes <= WHOLE_MAX else self

    def for_rows(self, start: int, stop: int) -> Plane:
        """Returns the plane itself. The file is told which bytes will be read."""
        grid, high = self._grid, self._grid.tile[0]
        last = min(-(-stop // high) * grid.across, grid.tiles)
        self._streams.announce(grid.first + start // high * grid.across, grid.first + last)
        return self

    def release(self) -> None:
        """Free the rows that are kept. They will be decoded again."""
        self._last, self._kept = NO_TILES, {}

    def _decode(self, first: int, last: int) -> Pixels:
        """Returns the rows of tiles from *first* to before *last*. Kept rows are copied."""
        high = self._grid.tile[0]
        pixels = np.empty((min(last * high, self.shape[0]) - first * high, self.shape[1]), self._scaling.dtype)
        start = first
        for kept in (row for row in range(first, last) if row in self._kept):
            self._decode_to(pixels[start - first : kept - first], start, kept)
            pixels[kept - first] = self._kept[kept]
            start = kept + 1
        self._decode_to(pixels[(start - first) * high :], start, last)
        return pixels

    def _decode_to(self, pixels: Pixels, first: int, last: int) -> None:
        """Write the rows of tiles from *first* to before *last* to *pixels*."""
        high = self._grid.tile[0]
        most = READ_BYTES // (high * self.shape[1] * self._codes.itemsize)
        step = max(1, min(READ_AT_ONCE // self._grid.across, most))
        with np.errstate(all="ignore"):
            for row in range(first, last, step):
                until = min(row + step, last)
                self._decode_streams(pixels[(row - first) * high : (until - first) * high], row, until)
        self._scaling.finish(pixels)

    def _decode_streams(self, pixels: Pixels, first: int, last: int) -> None:
        """Do the same for rows of tiles whose streams are read together, without `finish`."""
        across, (high, wide) = self._grid.across, self._grid.tile
        number = self._grid.first + first * across
        data, starts = self._streams.read(number, self._grid.first + last * across)
        batch = max(1, AT_ONCE // wide) if high == across == 1 else 1  # only such tiles are adjacent in memory
        decode, block_size, width = DECODE_RICE, self._block_size, self._codes.itemsize
        for index in range(0, len(starts) - 1, batch):
            row, column = divmod(index, across)
            tile = pixels[row * high : (row + batch) * high, column * wide : column * wide + wide]
            streams = list(pairwise(starts[index : index + batch + 1]))
            size = tile.size // len(streams)
            decoded = b"".join([decode(data[start:stop], block_size, width, size) for start, stop in streams])
            codes = np.frombuffer(decoded, self._codes).reshape(len(streams), size)
            self._scaling.scale(codes, number + index, tile)
