"""The pixel values that become black and white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

STEP_MIN = 1.0  # between black and white of a frame of one value
STEP_SHARE = 1e-6  # of that value, if it is so large that adding `STEP_MIN` would not change it


@dataclass(frozen=True, slots=True)
class Limits:
    """Black and white. They are always different."""

    black: float
    white: float

    def apply(self, values: Pixels) -> Pixels:
        """Returns *values* from 0 to 1, in float32. NaN is 0."""
        share: Pixels = np.subtract(values, np.float32(self.black), dtype=np.float32)
        share *= np.float32(1 / (self.white - self.black))
        return clipped(share, 1)


def clipped(values: Pixels, most: float) -> Pixels:
    """Change *values* in place to 0 .. *most*, and NaN to 0. Returns them."""
    np.clip(values, 0, most, out=values)  # a third of the time of minimum and maximum; it keeps NaN
    if values.size and math.isnan(values.min()):
        np.fmax(values, 0, out=values)
    return values


def smallest_step(value: float) -> float:
    """Returns the distance of black and white from the only value of a frame."""
    return max(STEP_MIN, abs(value) * STEP_SHARE)
