"""IRAF's zscale: limits from a line through the sorted pixels, without those that are far from it.

The steps and their constants are those of astropy's `ZScaleInterval`, which takes ten times as long: it solves each
line as a general fit and widens gaps by a convolution.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

SAMPLES = 10_000  # ten times astropy's default: with more, limits hang no less on where samples fall
ROUNDS = 5
FAR = 2.5  # standard deviations from the line
FEWEST = 0.5  # of the samples must stay, or there is no line
WIDENED = 0.01  # of the samples are left out around one that is far off
CONTRAST = 0.25


def zscale(values: Pixels) -> tuple[float, float]:
    """Black and white for *values*, all of them numbers and at least five; samples are spread over all of them."""
    ordered = np.sort(values[:: math.ceil(len(values) / SAMPLES)]).astype(np.float64)
    count = len(ordered)
    slope = _slope(ordered)
    low, high = float(ordered[0]), float(ordered[-1])
    if slope is None:
        return low, high
    middle, median = (count - 1) // 2, float(np.median(ordered))
    return max(low, median - (middle - 1) * slope / CONTRAST), min(high, median + (count - middle) * slope / CONTRAST)


def _slope(ordered: Pixels) -> float | None:
    """The slope of the line; None where too few are near any."""
    places, near = np.arange(len(ordered), dtype=np.float64), np.ones(len(ordered), bool)
    fewest, left, before, slope = max(5, int(len(ordered) * FEWEST)), len(ordered), len(ordered) + 1, 0.0
    for _ in range(ROUNDS):
        if not fewest <= left < before:
            break
        x, y = places[near], ordered[near]
        slope = float(np.mean((x - x.mean()) * (y - y.mean())) / x.var())
        away = ordered - (y.mean() + slope * (places - x.mean()))
        far = ~near | (np.abs(away) > FAR * away[near].std())
        near = ~_widened(far, max(1, int(len(ordered) * WIDENED)))
        before, left = left, int(near.sum())
    return slope if left >= fewest else None


def _widened(far: Pixels, width: int) -> Pixels:
    """True wherever one of *width* neighbours, half of them on each side, is."""
    after = (width - 1) // 2
    counts = np.concatenate([np.zeros(width - after), np.cumsum(far), np.full(after, far.sum())])
    widened: Pixels = counts[width:] > counts[:-width]
    return widened
