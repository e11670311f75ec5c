"""What the numbers in compressed tiles mean: FITS 4.0, section 10.2, in astropy's order of operations."""

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
MULTIPLIER, MODULUS = 16_807, 2_147_483_647  # Park and Miller's generator; the standard gives its last number
ZERO_CODE = -2_147_483_646  # SUBTRACTIVE_DITHER_2: a pixel that was exactly zero
AT_ONCE = 16_384  # pixels that are scaled at a time: their doubles stay in the processor's second cache


@dataclass(frozen=True, slots=True)
class Integers:
    """Pixels that are the codes themselves; unsigned ones are stored less half their range."""

    dtype: np.dtype[Any]

    def scale(self, codes: Pixels, _first: int, tile: Pixels) -> None:
        """Write the pixels of *codes* to *tile*, which `finish` makes good."""
        np.copyto(tile, codes.reshape(tile.shape), casting="unsafe")

    def finish(self, pixels: Pixels) -> None:
        """Give all *pixels* their sign."""
        if self.dtype.kind == "u" and self.dtype.itemsize > 1:
            pixels ^= self.dtype.type(1 << (8 * self.dtype.itemsize - 1))


@dataclass(frozen=True, slots=True)
class Quantized:
    """Floating-point pixels: a code times the tile's scale plus its zero, less the noise that was added to it.

    *seed* is that of the first tile, from 0, or None where there is no dither; *zeros* tells whether `ZERO_CODE` is
    one, *blank* which code is no number.
    """

    dtype: np.dtype[Any]
    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]
    seed: int | None
    zeros: bool
    blank: int | None
    _work: NDArray[np.float64] = field(default_factory=lambda: np.empty(AT_ONCE), repr=False)

    def scale(self, codes: Pixels, first: int, tile: Pixels) -> None:
        """Write the pixels of *codes*, in which each tile is a row and that of number *first* the first, to *tile*:
        one tile of any size, or several that have `AT_ONCE` pixels at most.
        """
        straight = tile.flags.c_contiguous
        pixels = tile.reshape(codes.shape) if straight else np.empty(codes.shape, self.dtype)
        scales, offsets = (each[first : first + len(codes), None] for each in (self.scales, self.offsets))
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
        if not straight:
            tile[...] = pixels.reshape(tile.shape)

    def _parts(self, first: int, tiles: int, size: int) -> Iterator[tuple[slice, list[NDArray[np.float64]]]]:
        """What is worked on at a time of *tiles* with *size* pixels each, and the noise that each has there."""
        if self.seed is None:
            yield from ((slice(at, min(at + AT_ONCE // tiles, size)), []) for at in range(0, size, AT_ONCE // tiles))
        elif tiles == 1:
            start = 0
            for noise in _noise(self.seed + first, size):
                yield slice(start, start + noise.size), [noise]
                start += noise.size
        else:
            yield slice(0, size), [_all_noise(self.seed + first + tile, size) for tile in range(tiles)]

    def finish(self, pixels: Pixels) -> None:
        """Nothing is left to do."""


@lru_cache(maxsize=1)
def _randoms() -> tuple[NDArray[np.float64], list[int]]:
    """The numbers from 0 to 1 that are in the standard, in single precision; and where each as a seed begins."""
    seed, seeds = 1, []
    for _ in repeat(None, RANDOMS):
        seed = seed * MULTIPLIER % MODULUS
        seeds.append(seed)
    numbers = (np.array(seeds, np.float64) / MODULUS).astype(np.float32)
    return numbers.astype(np.float64), (numbers * np.float32(500)).astype(int).tolist()


def _noise(seed: int, size: int) -> Iterator[NDArray[np.float64]]:
    """The noise of a tile of *size* pixels, in pieces: where the numbers end, the next seed begins."""
    numbers, starts = _randoms()
    while size > 0:
        piece = numbers[starts[seed % RANDOMS] :][:size]
        yield piece
        size -= piece.size
        seed += 1


def _all_noise(seed: int, size: int) -> NDArray[np.float64]:
    """The noise of a tile in one piece."""
    numbers, starts = _randoms()
    start = starts[seed % RANDOMS]
    if start + size <= RANDOMS:
        return numbers[start : start + size]
    return np.concatenate([*_noise(seed, size)])
