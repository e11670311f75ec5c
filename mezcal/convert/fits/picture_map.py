"""The map from points of a final picture to points of its frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mezcal.convert.fits.cutout.frame_coordinates import coordinates_of
from mezcal.convert.fits.draw.overlays.sky_view import SkyView

if TYPE_CHECKING:
    from mezcal.convert.fits.cutout.placement import PlacedCutout
    from mezcal.convert.fits.draw.scaling import Size
    from mezcal.convert.fits.geometry import Geometry
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.recipe.cutout import Cutout

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def view_of(
    frame: FitsFrame,
    geometry: Geometry,
    placed: PlacedCutout | None,
    final: Size,
    cutout: Cutout | None,
    *,
    on_sky: bool,
) -> SkyView:
    """Returns the view of *frame* that a picture of *final* width and height shows; with *on_sky*, of the sky.

    *placed* is where the *cutout* is, None for the whole frame. Raises `NoSuchSection` if *on_sky* is asked of a frame
    without coordinates.
    """
    start, right, down = _to_frame(CORNERS * final, geometry, placed)
    matrix = np.stack([(right - start) / final[0], (down - start) / final[1]], 1)
    middle: Pixels = np.array(final) / 2
    if placed is not None:
        middle = np.linalg.solve(matrix, np.array(placed.section.centre) + 0.5 - start)
    coordinates = coordinates_of(frame, cutout) if on_sky else None
    return SkyView(final, (float(middle[0]), float(middle[1])), matrix, start, coordinates)


def _to_frame(corners: Pixels, geometry: Geometry, placed: PlacedCutout | None) -> Pixels:
    """Returns where the *corners* of the final picture are in the frame: upper left, upper right, lower left."""
    final = corners.max(axis=0)
    if placed is not None:
        return placed.to_frame(corners * (np.array(placed.size) / final))
    orientation, shape = geometry.orientation, geometry.shape
    if not geometry.is_rotated:
        return orientation.to_frame(corners * (np.array(orientation.picture_size(shape)) / final), shape)
    small = np.array(geometry.small_size)
    rotated = np.array(Image.new("1", geometry.small_size).rotate(geometry.angle, expand=True).size)
    angle = math.radians(geometry.angle)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = (corners * (rotated / final) - rotated / 2) @ turn.T + small / 2
    return orientation.to_frame(points * geometry.box, shape)
