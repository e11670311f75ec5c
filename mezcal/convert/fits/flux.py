"""Brings the frames of a composite to one unit: a star's colour does not depend on exposures and pixel sizes."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.alignment import Affine
    from mezcal.convert.fits.read.frame import FitsFrame

COUNTS = re.compile(r"|ADU|E-?|ELECTRONS?|DN|COUNTS?|PHOTONS?")  # values of BUNIT that grow with the exposure


def flux_factors(frames: list[FitsFrame], affines: list[Affine | None]) -> list[float]:
    """Returns by what each frame's pixels are multiplied: counts a second and a pixel of the first frame.

    *affines* are the maps from the first frame to each; without one, pixels are taken for equally large. Exposures
    count only if all frames have counts and tell theirs.
    """
    exposures = [exposure(frame.header) for frame in frames]
    known = [seconds for seconds in exposures if seconds is not None]
    rates = [known[0] / seconds for seconds in known] if len(known) == len(frames) else [1.0] * len(frames)
    areas = [1.0 if affine is None else abs(float(np.linalg.det(affine[0]))) for affine in affines]
    return [rate * area for rate, area in zip(rates, areas, strict=True)]


def exposure(header: Any) -> float | None:
    """Returns the seconds of a frame of counts. None if they are unknown, or if it has another unit."""
    if not COUNTS.fullmatch(str(header.get("BUNIT", "")).strip().upper()):
        return None
    try:
        seconds = float(header.get("EXPTIME", header.get("EXPOSURE", "nan")))
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
