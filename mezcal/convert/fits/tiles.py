"""Compressed frames of the ordinary kind, RICE_1, decoded tile by tile without an object of astropy's for each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import imagecodecs
import numpy as np

from mezcal.convert.fits.quantized import Integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.fits.planes import Pixels
    from mezcal.convert.fits.quantized import Quantized

GUARD = b"\xff" * 256  # a stream that runs past its end stops at ones, after at most four bytes a pixel of a block


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

    def read(self, first: int, last: int) -> tuple[bytearray, list[int]]:
        """The bytes of the tiles from *first* to before *last* with a guard behind, and where in them each begins."""
        start, stop = int(self.places[first]), int(self.places[last])
        held = bytearray(stop - start + len(GUARD))
        held[stop - start :] = GUARD
        with memoryview(held) as view:
            if os.preadv(self.file.fileno(), [view[: stop - start]], start) != stop - start:
                raise ValueError("the tiles are cut off")
        return held, (self.places[first : last + 1] - start).tolist()


class Tiles:
    """A plane that is decoded when it is wanted, a row of tiles at a time."""

    def __init__(
        self, grid: Grid, streams: Streams, scaling: Integers | Quantized, coding_block: int, kind: np.dtype[Any]
    ) -> None:
        self.shape = grid.shape
        self._grid, self._streams, self._scaling = grid, streams, scaling
        self._coding_block, self._kind = coding_block, kind
        self._last: tuple[int, Pixels] = -1, np.empty((0, 0))

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

    def _decoded(self, first: int, last: int) -> Pixels:
        """The rows of tiles from *first* to before *last*."""
        across, (high, wide) = self._grid.across, self._grid.tile
        pixels = np.empty((min(last * high, self.shape[0]) - first * high, self.shape[1]), self._scaling.dtype)
        number = self._grid.first + first * across
        held, places = self._streams.read(number, self._grid.first + last * across)
        straight = isinstance(self._scaling, Integers) and across == 1 and self._kind.itemsize == pixels.itemsize
        codes = pixels.reshape(-1).view(self._kind) if straight else np.empty(high * wide, self._kind)
        with memoryview(held) as view, np.errstate(all="ignore"):
            for index, (start, stop) in enumerate(pairwise(places)):
                row, column = divmod(index, across)
                tile = pixels[row * high : row * high + high, column * wide : column * wide + wide]
                if straight:
                    self._decode(view[start:stop], codes[row * high * wide :][: tile.size], number + index)
                else:
                    self._decode(view[start:stop], codes[: tile.size], number + index)
                    self._scaling.scale(codes[: tile.size], number + index, tile)
        if isinstance(self._scaling, Integers):
            self._scaling.finish(pixels)
        return pixels

    def _decode(self, stream: Any, codes: Pixels, number: int) -> None:  # a memoryview, which its stubs do not know
        try:
            imagecodecs.rcomp_decode(stream, nblock=self._coding_block, out=codes)
        except imagecodecs.RcompError as error:
            raise ValueError(f"tile {number + 1} is damaged: {error}") from error
