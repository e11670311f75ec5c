"""Compressed frames of the ordinary kind, RICE_1, decoded tile by tile without an object of astropy's for each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mezcal.convert.fits.read.byte_ranges import fill
from mezcal.convert.fits.read.quantization import AT_ONCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.convert.fits.read.quantization import Integers, Quantized

# The decoder that astropy calls for each tile. It is private, so there is a way without it (`tiled`), and the lock file
# pins astropy. imagecodecs has the same in public, but takes a tenth longer, and does not tell of streams too long.
try:
    from astropy.io.fits.hdu.compressed import _compression
except ImportError:  # pragma: no cover - of an astropy to come
    _compression = None
UNRICE: Any = getattr(_compression, "decompress_rice_1_c", None)

READ_AT_ONCE = 64  # tiles whose bytes are read together: memory that is used again costs less than new one
KEPT_MOST = 128 * 2**20  # bytes of rows that were looked into, and will be read again
GUARD = 256  # bytes of ones: a stream that runs past its end stops there, after at most five bytes a pixel of a block

NOTHING: tuple[int, Pixels] = -1, np.empty((0, 0))  # no row of tiles is kept


@dataclass(frozen=True, slots=True)
class Grid:
    """How a plane is cut into tiles; *first* is the number of the plane's first one in its cube."""

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
class Streams:
    """Where in the file the compressed bytes of each tile are: one after the other, without a gap."""

    file: BinaryIO
    places: NDArray[np.int64]  # of each tile's first byte, and of the end

    def read(self, first: int, last: int) -> tuple[NDArray[np.uint8], list[int]]:
        """The bytes of the tiles from *first* to before *last* with a guard behind, and where in them each begins."""
        start, stop = int(self.places[first]), int(self.places[last])
        held = np.empty(stop - start + GUARD, np.uint8)
        held[stop - start :] = 255
        fill(held[: stop - start], self.file, start)
        return held, (self.places[first : last + 1] - start).tolist()


class Tiles:
    """A plane that is decoded when it is wanted, a row of tiles at a time."""

    def __init__(
        self, grid: Grid, streams: Streams, scaling: Integers | Quantized, coding_block: int, kind: np.dtype[Any]
    ) -> None:
        self.shape = grid.shape
        self._grid, self._streams, self._scaling = grid, streams, scaling
        self._coding_block, self._kind = coding_block, kind
        self._last = NOTHING
        self._kept: dict[int, Pixels] = {}  # rows that were looked into

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return prod(self.shape) * self._scaling.dtype.itemsize

    def rows(self, start: int, stop: int) -> Pixels:
        """The rows, read and decoded anew."""
        high = self._grid.tile[0]
        if high == 1:
            return self._decoded(start, stop)
        parts = []
        for band in range(start // high, -(-stop // high)):
            if self._last[0] != band:  # the last one is kept, for blocks of rows end anywhere within
                self._last = band, self._decoded(band, band + 1)
            parts.append(self._last[1][max(0, start - band * high) : stop - band * high])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def high(self) -> int:
        """Rows that are decoded together."""
        return self._grid.tile[0]

    def release(self) -> None:
        """Give back the rows that are kept; they will be decoded anew."""
        self._last, self._kept = NOTHING, {}

    def at(self, places: NDArray[np.int64]) -> Pixels:
        """Single pixels, counted row after row and in order; their rows are kept for when they are read again."""
        rows, columns = np.divmod(places, self.shape[1])
        found, first = np.unique(rows, return_index=True)
        row_bytes = self.shape[1] * self._scaling.dtype.itemsize
        room = KEPT_MOST // row_bytes if self._grid.tile[0] == 1 else 0
        kept = np.empty((min(len(found), room), self.shape[1]), self._scaling.dtype)
        values = np.empty(len(places), self._scaling.dtype)
        for number, (start, stop) in enumerate(pairwise([*first.tolist(), len(places)])):
            row = int(found[number])
            pixels = self.rows(row, row + 1)[0]
            values[start:stop] = pixels[columns[start:stop]]
            if number < room:
                kept[number] = pixels
        self._kept = dict(zip(found[:room].tolist(), kept, strict=True))
        return values

    def _decoded(self, first: int, last: int) -> Pixels:
        """The rows of tiles from *first* to before *last*."""
        high = self._grid.tile[0]
        pixels = np.empty((min(last * high, self.shape[0]) - first * high, self.shape[1]), self._scaling.dtype)
        start = first
        for kept in (row for row in range(first, last) if row in self._kept):
            self._decode(start, kept, pixels[start - first : kept - first])
            pixels[kept - first] = self._kept[kept]
            start = kept + 1
        self._decode(start, last, pixels[(start - first) * high :])
        return pixels

    def _decode(self, first: int, last: int, pixels: Pixels) -> None:
        """Write the rows of tiles from *first* to before *last* to *pixels*."""
        high = self._grid.tile[0]
        step = max(1, READ_AT_ONCE // self._grid.across)
        with np.errstate(all="ignore"):
            for row in range(first, last, step):
                until = min(row + step, last)
                self._read(row, until, pixels[(row - first) * high : (until - first) * high])
        self._scaling.finish(pixels)

    def _read(self, first: int, last: int, pixels: Pixels) -> None:
        """As `_decode`, for rows whose streams are read together; `finish` makes their pixels good."""
        across, (high, wide) = self._grid.across, self._grid.tile
        number = self._grid.first + first * across
        held, places = self._streams.read(number, self._grid.first + last * across)
        batch = max(1, AT_ONCE // wide) if high == across == 1 else 1  # only then they lie one behind the other
        for index in range(0, len(places) - 1, batch):
            row, column = divmod(index, across)
            tile = pixels[row * high : (row + batch) * high, column * wide : column * wide + wide]
            streams = list(pairwise(places[index : index + batch + 1]))
            size = tile.size // len(streams)
            codes = [UNRICE(held[start:stop], self._coding_block, self._kind.itemsize, size) for start, stop in streams]
            found = np.frombuffer(b"".join(codes), self._kind).reshape(len(streams), size)
            self._scaling.scale(found, number + index, tile)
