"""How a frame is laid out in a thumbnail: its orientation, the boxes that are averaged, the final size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.convert.fits.draw import robust
from mezcal.convert.fits.draw.north_up import Orientation, orientation_of
from mezcal.convert.fits.draw.scaling import Size, box_size, fit_inside

if TYPE_CHECKING:
    from mezcal.convert.fits.cutout.placement import PlacedCutout
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.recipe import ThumbnailOptions

# Pixels that are left for each of the final size: 2 would mean four times the memory at 1200 of 4096 pixels.
ROBUST_GAP = 1.5


@dataclass(frozen=True, slots=True)
class Geometry:
    """The layout of the reference frame. *angle* is the rotation that is left, in degrees counter-clockwise.

    With *is_rotated*, the whole frame is rotated by it.
    """

    shape: Size  # rows and columns of the frame
    orientation: Orientation
    angle: float
    box: Size
    final: Size
    is_rotated: bool = False

    @classmethod
    def of(cls, frame: FitsFrame, options: ThumbnailOptions, placed: PlacedCutout | None = None) -> Geometry:
        """Returns the layout of *frame*, which has the pixels of the section alone if it is *placed*."""
        if placed is None:
            orientation, angle = orientation_of(frame.header, lco=options.look == "lco")
            size = orientation.picture_size(frame.plane.shape)
        else:
            orientation, angle, size = placed.orientation, placed.angle, placed.size
        is_rotated = placed is None and options.orient == "exact" and bool(angle)
        final = fit_inside(enlarged(size, options), (options.width, options.height))
        if options.look == "lco":
            return cls(frame.plane.shape, orientation, angle, box_size(size, final), final)
        needed = max(final[0], _statistics_side(size, 0)), max(final[1], _statistics_side(size, 1))
        box = box_size(size, needed, ROBUST_GAP)
        return cls(frame.plane.shape, orientation, angle, box, final, is_rotated)

    @property
    def part(self) -> tuple[float, float]:
        """Width and height of the averaged picture that are pixels: the last boxes may be partly empty."""
        width, height = self.orientation.picture_size(self.shape)
        return width / self.box[0], height / self.box[1]

    @property
    def small_size(self) -> Size:
        """Width and height of the averaged picture, in whole pixels."""
        width, height = map(math.ceil, self.part)
        return width, height


def _statistics_side(size: Size, axis: int) -> int:
    """Returns the final side that leaves enough pixels for the limits of black and white."""
    return max(1, int(size[axis] * robust.STATISTICS_EDGE / (ROBUST_GAP * max(size))))


def enlarged(size: Size, options: ThumbnailOptions) -> Size:
    """Returns the *size* of a picture after the zoom of *options*. `fit_inside` reduces it if it is too large."""
    zoom = options.zoom or 1
    return max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))
