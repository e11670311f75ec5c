"""From the integers in compressed tiles to pixels (FITS 4.0, section 10.2), in astropy's order of operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mezcal.convert.fits.read.planes import Pixels

RANDOMS = 10_000
MULTIPLIER, MODULUS = 16_807, 2_147_483_647  # Park and Miller's generator
ZERO_CODE = -2_147_483_646  # SUBTRACTIVE_DITHER_2: the pixel was exactly zero
AT_ONCE = 16_384  # pixels scaled at a time: their doubles stay in the processor's second cache


@dataclass(frozen=True, slots=True)
class IntegerScaling:
    """For pixels that are the codes themselves. Unsigned ones are stored less half their range."""

    dtype: np.dtype[Any]

    def scale(self, codes: Pixels, _first: int, tile: Pixels) -> None:
        """Write *codes* to *tile*. `finish` completes them."""
        np.copyto(tile, codes.reshape(tile.shape), casting="unsafe")

    def finish(self, pixels: Pixels) -> None:
        """Make *pixels* unsigned if they are: the top bit is inverted, for all at once."""
        if self.dtype.kind == "u" and self.dtype.itemsize > 1:
            pixels ^= self.dtype.type(1 << (8 * self.dtype.itemsize - 1))


@dataclass(frozen=True, slots=True)
class QuantizedScaling:
    """For floating-point pixels: the code, less the noise that was added to it, times the tile's scale plus its offset.

    *seed* is the first tile's, from 0; None is no noise. With *zeros*, `ZERO_CODE` means zero. *blank* is the code that
    means NaN.
    """

    dtype: np.dtype[Any]
    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]
    seed: int | None
    zeros: bool
    blank: int | None
    _work: NDArray[np.float64] = field(default_factory=lambda: np.empty(AT_ONCE), repr=False)

    def scale(self, codes: Pixels, first: int, tile: Pixels) -> None:
        """Write the pixels of *codes* to *tile*. Each row of *codes* is a tile; *first* is the first one's number.

        There is one tile of any size, or there are several with `AT_ONCE` pixels at most.
        """
        contiguous = tile.flags.c_contiguous
        pixels = tile.reshape(codes.shape) if contiguous else np.empty(codes.shape, self.dtype)
        scales, offsets = (values[first : first + len(codes), None] for values in (self.scales, self.offsets))
        for part, noises in self._parts(first, *codes.shape):
            work = self._work[: len(codes) * (part.stop - part.start)].reshape(len(codes), -1)
            np.copyto(work, codes[:, part])
            for row, noise in zip(work, noises, strict=False):
                np.subtract(row, noise, out=row)
            if noises:
                work += 0.5
            work *= scales
            work += offsets
            np.copyto(pixels[:, part], work, casting="same_kind")
        if self.zeros:
            pixels[codes == ZERO_CODE] = 0
        if self.blank is not None:
            pixels[codes == self.blank] = np.nan
        if not contiguous:
            tile[...] = pixels.reshape(tile.shape)

    def _parts(self, first: int, tiles: int, size: int) -> Iterator[tuple[slice, list[NDArray[np.float64]]]]:
        """Yields the pixels to scale at a time, of *tiles* with *size* pixels each, and the noise in each tile."""
        if self.seed is None:
            yield from ((slice(at, min(at + AT_ONCE // tiles, size)), []) for at in range(0, size, AT_ONCE // tiles))
        elif tiles == 1:
            start = 0
            for noise in _noise_pieces(self.seed + first, size):
                yield slice(start, start + noise.size), [noise]
                start += noise.size
        else:
            yield slice(0, size), [_noise(self.seed + first + tile, size) for tile in range(tiles)]

    def finish(self, pixels: Pixels) -> None:
        """Return at once: the pixels are complete."""


@lru_cache(maxsize=1)
def _randoms() -> tuple[NDArray[np.float64], list[int]]:
    """Returns the standard's random numbers from 0 to 1, and where the noise of each seed begins."""
    seed, seeds = 1, []
    for _ in repeat(None, RANDOMS):
        seed = seed * MULTIPLIER % MODULUS
        seeds.append(seed)
    numbers = (np.array(seeds, np.float64) / MODULUS).astype(np.float32)
    return numbers.astype(np.float64), (numbers * np.float32(500)).astype(int).tolist()


def _noise_pieces(seed: int, size: int) -> Iterator[NDArray[np.float64]]:
    """Yields the noise of a tile of *size* pixels in pieces. Where the numbers end, the next seed's begin."""
    numbers, starts = _randoms()
    while size > 0:
        piece = numbers[starts[seed % RANDOMS] :][:size]
        yield piece
        size -= piece.size
        seed += 1


def _noise(seed: int, size: int) -> NDArray[np.float64]:
    """Returns the noise of a tile in one piece."""
    numbers, starts = _randoms()
    start = starts[seed % RANDOMS]
    if start + size <= RANDOMS:
        return numbers[start : start + size]
    return np.concatenate([*_noise_pieces(seed, size)])
