"""The pixel values that become black and white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

LEAST = 1.0  # between black and white of a frame of one value
LEAST_SHARE = 1e-6  # of that value, where it is so large that one more or less would be the same number


@dataclass(frozen=True, slots=True)
class Limits:
    """Black and white; always different."""

    black: float
    white: float

    def apply(self, values: Pixels) -> Pixels:
        """*values* from 0 to 1, in float32; what is no number is 0."""
        share: Pixels = np.subtract(values, np.float32(self.black), dtype=np.float32)
        share *= np.float32(1 / (self.white - self.black))
        return clipped(share, 1)


def clipped(values: Pixels, most: float) -> Pixels:
    """*values*, changed in place: from 0 to *most*, and 0 for what is no number."""
    np.clip(values, 0, most, out=values)  # in a third of the time of minimum and maximum, but NaN stays
    if values.size and math.isnan(values.min()):
        np.fmax(values, 0, out=values)
    return values


def least_above(value: float) -> float:
    """How far black or white is from the only value of a frame."""
    return max(LEAST, abs(value) * LEAST_SHARE)
