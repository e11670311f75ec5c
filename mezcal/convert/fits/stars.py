"""Finds stars in a frame's pixels, for frames without coordinates and without a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sep

from mezcal.convert.fits.draw.north_up import Orientation
from mezcal.convert.fits.draw.scaling import shrink_means

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels, Plane

EDGE_MAX = 2048  # pixels: larger frames are averaged to at most this
SKY_BOX = 32  # pixels a side over which the sky is measured
SIGMAS = 6.0  # above the noise of the sky
STAR_PIXELS = 5  # at least: hot pixels are alone, and all frames share them
UPRIGHT = Orientation(flip_rows=False)


def find_stars(plane: Plane, most: int) -> Pixels:
    """Returns x and y of the *most* brightest stars of *plane*, in pixels from the lower left corner.

    The brightest comes first. *plane* is released.
    """
    box = max(1, -(-max(plane.shape) // EDGE_MAX))
    pixels = np.ascontiguousarray(shrink_means(plane, UPRIGHT, (box, box)))
    plane.release()
    unknown = ~np.isfinite(pixels)
    pixels[unknown] = 0
    try:
        sky = sep.Background(pixels, mask=unknown, bw=SKY_BOX, bh=SKY_BOX)
        sky.subfrom(pixels)
        sources = sep.extract(pixels, SIGMAS, err=sky.globalrms, mask=unknown, minarea=STAR_PIXELS, filter_kernel=None)
    except Exception:  # noqa: BLE001 - sep raises no other class; a crowded field may be too much for its buffers
        return np.empty((0, 2))
    brightest = np.argsort(-sources["flux"], kind="stable")[:most]
    return (np.stack([sources["x"], sources["y"]], 1)[brightest] + 0.5) * box
