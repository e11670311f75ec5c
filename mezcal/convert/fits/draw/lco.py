"""The look of OCS thumbnail-service 3.0 (fits2image): the same limits, the same tables, the same pixels."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mezcal.convert.fits.draw.limits import Limits, clipped, least_above
from mezcal.convert.fits.read.planes import BLOCK, Held, blocks
from mezcal.convert.fits.read.rice_tiles import Tiles
from mezcal.convert.fits.read.uncompressed import Plain

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels, Plane

SAMPLES = 2000
SLOPES = 5  # white lies so many times the samples' slope above the line's start
PIECE = 65_536  # pixels at a time: their doubles stay in the processor's second cache
GAMMA = np.array([int(256 * (level / 256) ** 0.4) for level in range(256)], np.uint8)


def limits(plane: Plane) -> Limits:
    """Limits from a line fitted to some 2000 sorted samples; pixels that are no number are left out."""
    values = _samples(plane).astype(np.float64)
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return Limits(0.0, 1.0)
    slope, start = np.polyfit(np.arange(len(values)), values, 1) if len(values) > 1 else (0.0, values[0])
    black = float(np.median(values))
    white = min(float(values[-1]), float(start + SLOPES * len(values) * slope))
    apart = 0.0 if white != black else least_above(black)
    return Limits(black - apart, white + apart)


def _samples(plane: Plane) -> Pixels:
    rows, columns = plane.shape
    step = max(1, int(rows * columns / SAMPLES))
    places = np.arange(step, rows * columns, step) if rows * columns > step else np.zeros(1, int)
    if isinstance(plane, Held | Plain | Tiles):
        return plane.at(places)
    found, first = np.unique(places // columns, return_index=True)
    runs = [slice(*bounds) for bounds in pairwise([*first.tolist(), len(places)])]
    across = places % columns
    return np.concatenate(
        [plane.rows(row, row + 1)[0, across[run]] for row, run in zip(found.tolist(), runs, strict=True)]
    )


class Levels:
    """Blocks of pixels to 8-bit levels, by way of *table*, 256 bytes; what is no number is black.

    Pixels times a scale, less an offset, as fits2image does it: in double precision, but for the offset, which has that
    of the pixels. A rounding elsewhere shows where a level ends in .5. What is worked on is kept for the next block:
    memory that is taken anew costs as much as the arithmetic.
    """

    def __init__(self, within: Limits, table: Pixels = GAMMA) -> None:
        self._scale = 255 / (within.white - within.black)
        self._offset = within.black * self._scale
        self._table = table
        self._brightened = table.tobytes()
        self._every: Pixels | None = None
        self._work = np.empty(0, np.float64)
        self._levels = np.empty((0, 0), np.uint8)

    def __call__(self, block: Pixels) -> Pixels:
        """*block* as levels, which are written over with the next one."""
        if block.dtype.kind in "iu" and block.dtype.itemsize == 2:
            return self._looked_up(block)
        if self._levels.shape != block.shape:
            self._levels = np.empty(block.shape, np.uint8)
        for start, stop in blocks(len(block), max(1, PIECE // block.shape[1])):
            self._level(block[start:stop], self._levels[start:stop])
        return self._levels

    def _level(self, piece: Pixels, levels: Pixels) -> None:
        if len(self._work) < piece.size:
            self._work = np.empty(piece.size, np.float64)
        work = self._work[: piece.size].reshape(piece.shape)
        np.copyto(work, piece)
        work *= self._scale
        work -= np.float32(self._offset) if piece.dtype.kind == "f" and piece.dtype.itemsize == 4 else self._offset
        np.rint(clipped(work, 255), out=work)
        np.copyto(levels, work, casting="unsafe")
        brightened = levels.tobytes().translate(self._brightened)  # in half the time of numpy's take
        levels[...] = np.frombuffer(brightened, np.uint8).reshape(piece.shape)

    def _looked_up(self, block: Pixels) -> Pixels:
        """16-bit integers: every value there can be is drawn once."""
        if self._every is None:
            kind = np.iinfo(block.dtype)
            values = np.arange(kind.min, kind.max + 1, dtype=np.float64)
            levels = np.rint(clipped(values * self._scale - self._offset, 255))
            self._every = np.roll(self._table[levels.astype(np.uint8)], int(kind.min))
        return self._every.take(block.view(np.uint16), mode="clip")  # none is outside; to look is what takes time


def median_table(plane: Plane, within: Limits, percentile: float) -> Pixels:
    """The table for `median=true`: of the levels, the median becomes black and the percentile white."""
    counts = np.zeros(256, np.int64)
    levels = Levels(within)
    for start, stop in blocks(plane.shape[0], BLOCK):
        counts += np.bincount(levels(plane.rows(start, stop)).ravel(), minlength=256)
    median = _quantile(counts, 50)
    white = max(_quantile(counts, percentile) - median, 1.0)
    table: Pixels = np.clip((GAMMA - median) * 255.0 / white, 0, 255).astype(np.uint8)
    return table


def _quantile(counts: Pixels, percent: float) -> float:
    """The percentile of values given by how often each occurs, interpolated as numpy does."""
    place = (int(counts.sum()) - 1) * percent / 100
    reached = np.cumsum(counts)
    low, high = np.searchsorted(reached, [math.floor(place), math.ceil(place)], side="right")
    return float(low + (high - low) * (place - math.floor(place)))
