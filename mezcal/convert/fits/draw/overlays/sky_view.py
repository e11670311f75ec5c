"""Where a position on the sky is in the final picture of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.coordinates import FrameCoordinates
    from mezcal.convert.fits.draw.scaling import Size
    from mezcal.convert.fits.read.planes import Pixels


@dataclass(frozen=True)
class SkyView:
    """A picture of *size*, width and height, and the map from its points to the frame's, whose edges are whole numbers.

    *centre* is the point of the picture that shows the position of a cutout. Points are x and y from the upper left.
    """

    size: Size
    centre: tuple[float, float]
    matrix: Pixels
    shift: Pixels
    coordinates: FrameCoordinates | None

    def sky_of(self, points: Pixels) -> Pixels:
        """Returns right ascension and declination of *points* in degrees; NaN where there is none."""
        assert self.coordinates is not None, "overlays on the sky are drawn for frames that have coordinates"
        return self.coordinates.to_sky(points @ self.matrix.T + self.shift - 0.5)

    def points_of(self, sky: Pixels) -> Pixels:
        """Returns the points of positions in degrees; NaN for those that the frame's projection does not reach."""
        assert self.coordinates is not None, "overlays on the sky are drawn for frames that have coordinates"
        found: Pixels = (self.coordinates.to_pixels(sky) + 0.5 - self.shift) @ np.linalg.inv(self.matrix).T
        return found

    @cached_property
    def derivative(self) -> Pixels:
        """Arcseconds east and north (rows) for a step of one pixel of the picture (columns), at its centre."""
        assert self.coordinates is not None, "overlays on the sky are drawn for frames that have coordinates"
        middle = np.array(self.size) / 2 @ self.matrix.T + self.shift - 0.5
        found: Pixels = self.coordinates.derivative((float(middle[0]), float(middle[1]))) @ self.matrix
        return found

    @property
    def scale(self) -> float:
        """Arcseconds for a pixel of the picture, at its centre."""
        return float(np.sqrt(abs(np.linalg.det(self.derivative))))

    def contains(self, points: Pixels, margin: float = 0) -> Pixels:
        """Returns True for each of *points* that is in the picture, or within *margin* pixels of it."""
        with np.errstate(invalid="ignore"):
            inside = (points >= -margin) & (points <= np.array(self.size) + margin)
        return np.asarray(inside.all(axis=1))
