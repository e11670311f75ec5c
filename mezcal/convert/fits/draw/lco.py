"""The look of OCS thumbnail-service 3.0 (fits2image): the same limits, tables and pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mezcal.convert.fits.draw.limits import Limits, clipped, smallest_step
from mezcal.convert.fits.read.planes import blocks

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels, Plane

SAMPLES = 2000
SLOPES = 5  # white is so many times the samples' slope above the line's start
ROUNDING = 1e-10  # of the line's values: the samples of a frame of one value are on it
PIECE = 65_536  # pixels at a time: their doubles stay in the processor's second cache
GAMMA = np.array([int(256 * (level / 256) ** 0.4) for level in range(256)], np.uint8)


def limits(plane: Plane) -> Limits:
    """Returns limits from a line fitted to about 2000 sorted samples. NaN is left out."""
    values = _samples(plane).astype(np.float64)
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return Limits(0.0, 1.0)
    slope, start = np.polyfit(np.arange(len(values)), values, 1) if len(values) > 1 else (0.0, values[0])
    black = float(np.median(values))
    white = min(float(values[-1]), float(start + SLOPES * len(values) * slope))
    if white - black > ROUNDING * abs(black):
        return Limits(black, white)
    step = smallest_step(black)
    return Limits(black - step, black + step)


def _samples(plane: Plane) -> Pixels:
    rows, columns = plane.shape
    step = max(1, int(rows * columns / SAMPLES))
    places = np.arange(step, rows * columns, step) if rows * columns > step else np.zeros(1, int)
    return plane.pixels_at(places)


class GreyLevels:
    """Turns blocks of pixels into 8-bit levels, through *table*, which has 256 bytes. NaN is black.

    A level is the pixel times a scale, less an offset, as in fits2image: in double precision, except for the offset,
    which has the pixels' precision. Any other order rounds some levels that end in .5 differently. The working memory
    is kept for the next block: new memory costs as much as the arithmetic.
    """

    def __init__(self, within: Limits, table: Pixels = GAMMA) -> None:
        self._scale = 255 / (within.white - within.black)
        self._offset = within.black * self._scale
        self._table = table
        self._brightened = table.tobytes()
        self._all_values: Pixels | None = None
        self._work = np.empty(0, np.float64)
        self._levels = np.empty((0, 0), np.uint8)

    def __call__(self, block: Pixels) -> Pixels:
        """Returns the levels of *block*, which the next call overwrites."""
        if block.dtype.kind in "iu" and block.dtype.itemsize == 2:
            return self._look_up(block)
        if self._levels.shape != block.shape:
            self._levels = np.empty(block.shape, np.uint8)
        for start, stop in blocks(len(block), max(1, PIECE // block.shape[1])):
            self._write_levels(block[start:stop], self._levels[start:stop])
        return self._levels

    def _write_levels(self, piece: Pixels, levels: Pixels) -> None:
        if len(self._work) < piece.size:
            self._work = np.empty(piece.size, np.float64)
        work = self._work[: piece.size].reshape(piece.shape)
        np.copyto(work, piece)
        work *= self._scale
        work -= np.float32(self._offset) if piece.dtype.kind == "f" and piece.dtype.itemsize == 4 else self._offset
        np.rint(clipped(work, 255), out=work)
        np.copyto(levels, work, casting="unsafe")
        brightened = levels.tobytes().translate(self._brightened)  # half the time of numpy's take
        levels[...] = np.frombuffer(brightened, np.uint8).reshape(piece.shape)

    def _look_up(self, block: Pixels) -> Pixels:
        """Returns the levels of 16-bit integers from a table of all their values."""
        if self._all_values is None:
            limits = np.iinfo(block.dtype)
            values = np.arange(limits.min, limits.max + 1, dtype=np.float64)
            levels = np.rint(clipped(values * self._scale - self._offset, 255))
            self._all_values = np.roll(self._table[levels.astype(np.uint8)], int(limits.min))
        return self._all_values.take(block.view(np.uint16), mode="clip")  # no index is outside; checking takes longer


def median_table(plane: Plane, within: Limits, percentile: float) -> Pixels:
    """Returns the table for `median=true`: the median of the levels becomes black, the *percentile* white."""
    counts = np.zeros(256, np.int64)
    levels = GreyLevels(within)
    for start, stop in blocks(plane.shape[0], plane.block_height()):
        counts += np.bincount(levels(plane.rows(start, stop)).ravel(), minlength=256)
    median = _quantile(counts, 50)
    white = max(_quantile(counts, percentile) - median, 1.0)
    table: Pixels = np.clip((GAMMA - median) * 255.0 / white, 0, 255).astype(np.uint8)
    return table


def _quantile(counts: Pixels, percent: float) -> float:
    """Returns a percentile of values of which *counts* says how often each occurs, interpolated as numpy does."""
    place = (int(counts.sum()) - 1) * percent / 100
    reached = np.cumsum(counts)
    low, high = np.searchsorted(reached, [math.floor(place), math.ceil(place)], side="right")
    return float(low + (high - low) * (place - math.floor(place)))
