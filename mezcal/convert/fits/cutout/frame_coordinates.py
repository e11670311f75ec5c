"""Chooses the sky coordinates of a frame: its own, or those of the amplifier that shows a cutout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mezcal.convert.fits.coordinates import NO_COORDINATES, FrameCoordinates
from mezcal.convert.fits.read.frame import FrameHeader
from mezcal.convert.fits.read.joined_header import lacks_matrix
from mezcal.convert.fits.read.mosaic import Mosaic
from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.convert.fits.read.mosaic import MosaicPart
    from mezcal.recipe.cutout import Cutout


def coordinates_of(frame: FitsFrame, cutout: Cutout | None) -> FrameCoordinates:
    """Returns the sky coordinates of *frame*. Raises `NoSuchSection` if it has none.

    Where amplifiers are joined and each has its own, they are those of the amplifier that shows the centre of *cutout*,
    or the middle of the frame if it is None.
    """
    if not isinstance(frame.plane, Mosaic):
        return FrameCoordinates.of(frame.header.merged(), frame.plane.shape)
    rows, columns = frame.plane.shape
    if cutout is None:
        return _at_pixel(frame, frame.plane, (columns / 2 - 0.5, rows / 2 - 0.5))
    if cutout.on_sky:
        return _at_position(frame, frame.plane, cutout.centre)
    return _at_pixel(frame, frame.plane, (cutout.centre[0] - 1, cutout.centre[1] - 1))


def _of_part(frame: FitsFrame, part: MosaicPart) -> FrameCoordinates:
    """Returns the coordinates of the joined picture by those of one amplifier. Raises `NoSuchSection` without any."""
    if lacks_matrix(part.header, part.data, part.target):
        raise NoSuchSection(
            "an amplifier that is read out from the other end has CRPIX but no matrix (CD, PC or CDELT) of its own, "
            "so its axes on the sky are not known: use x and y"
        )
    return FrameCoordinates.of(FrameHeader(part.header, frame.header.primary).merged(), frame.plane.shape)


def _at_pixel(frame: FitsFrame, mosaic: Mosaic, place: tuple[float, float]) -> FrameCoordinates:
    """Returns the coordinates of the amplifier nearest to *place*."""
    return _of_part(frame, min(mosaic.parts, key=lambda part: part.distance_to(*place)))


def _at_position(frame: FitsFrame, mosaic: Mosaic, centre: tuple[float, float]) -> FrameCoordinates:
    """Returns the coordinates of the amplifier that shows *centre*, else of the one nearest to it.

    In a gap between amplifiers, their coordinates may differ by the error of DETSEC. Amplifiers without coordinates are
    passed over. Raises `NoSuchSection` if none has them.
    """
    best, nearest, refused = None, math.inf, NoSuchSection(NO_COORDINATES)
    for part in mosaic.parts:
        try:
            coordinates = _of_part(frame, part)
        except NoSuchSection as failure:
            refused = failure
            continue
        try:
            distance = part.distance_to(*coordinates.to_pixel(*centre))
        except NoSuchSection:
            distance = math.inf
        if best is None or distance < nearest:
            best, nearest = coordinates, distance
    if best is None:
        raise refused
    return best
