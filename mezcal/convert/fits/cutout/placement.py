"""Finds the section of a frame that a cutout shows, and how it is turned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mezcal.convert.fits.cutout.frame_coordinates import coordinates_of
from mezcal.convert.fits.cutout.overlap import share_inside
from mezcal.convert.fits.cutout.section import MARGIN, Section
from mezcal.convert.fits.draw.north_up import Orientation, nearest_orientation, orientation_of
from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from mezcal.convert.fits.coordinates import FrameCoordinates
    from mezcal.convert.fits.draw.scaling import Size
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.recipe import ThumbnailOptions
    from mezcal.recipe.cutout import Cutout


@dataclass(frozen=True, slots=True)
class PlacedCutout:
    """A cutout's *section* of a frame, and how the picture of *size*, width and height, is made of it.

    With *turned*, the section is larger than the picture, which is turned by *angle* degrees counter-clockwise around
    the section's centre. *covered* is the share of the picture that the frame has pixels for.
    """

    section: Section
    orientation: Orientation
    size: Size
    covered: float
    angle: float = 0.0
    turned: bool = False

    @property
    def description(self) -> dict[str, str | float]:
        """The section and its centre as FITS counts pixels, and the covered share, for the JSON of the answer."""
        x, y = (round(place + 1, 3) for place in self.section.centre)
        return {"section": str(self.section), "x": x, "y": y, "covered": round(self.covered, 6)}

    def part(self, box: Size) -> tuple[float, float]:
        """Returns width and height of the picture after averaging in boxes of *box* columns and rows."""
        return self.size[0] / box[0], self.size[1] / box[1]

    def turn(self, small: Pixels, box: Size) -> Pixels:
        """Returns the picture out of *small*, the section averaged in boxes of *box*. Without a pixel it is NaN."""
        width, height = map(math.ceil, self.part(box))
        matrix, shift = self._to_section_picture()
        scaled = matrix * [[box[0] / box[0], box[1] / box[0]], [box[0] / box[1], box[1] / box[1]]]
        shift = shift / box
        data = (*scaled[0].tolist(), float(shift[0]), *scaled[1].tolist(), float(shift[1]))
        image, method = Image.fromarray(small), Image.Transform.AFFINE
        unknown = float("nan")
        turned = image.transform((width, height), method, data, Image.Resampling.BILINEAR, fillcolor=unknown)
        return np.asarray(turned)

    def _to_section_picture(self) -> tuple[Pixels, Pixels]:
        """Returns matrix and shift from points of the picture to those of the section's own picture."""
        angle = math.radians(self.angle)
        matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        section = self.section
        centre = np.array([section.centre]) - section.corner + 0.5
        (middle,) = self.orientation.to_picture(centre, (section.height, section.width))
        return matrix, middle - matrix @ (np.array(self.size) / 2)

    def to_frame(self, points: Pixels) -> Pixels:
        """Returns where the picture's *points* are in the frame. Edges of pixels are whole numbers in both."""
        if self.turned:
            matrix, shift = self._to_section_picture()
            points = points @ matrix.T + shift
        section = self.section
        return self.orientation.to_frame(points, (section.height, section.width)) + section.corner


def place_cutout(frame: FitsFrame, cutout: Cutout, options: ThumbnailOptions) -> PlacedCutout:
    """Returns what *frame* has of *cutout*.

    Raises `NoSuchSection` if the frame does not show any of it, or if it has no coordinates and they are needed.
    """
    turned = options.orient == "exact"
    needs_sky = cutout.on_sky or not cutout.in_pixels or turned
    coordinates = coordinates_of(frame, cutout) if needs_sky else None
    if coordinates is not None and cutout.on_sky:
        centre = coordinates.to_pixel(*cutout.centre)
    else:
        centre = cutout.centre[0] - 1, cutout.centre[1] - 1
    if turned and coordinates is not None:
        placed = _turned(cutout, coordinates, centre, frame.plane.shape)
    else:
        placed = _upright(frame, cutout, coordinates, centre)
    if not placed.covered:
        raise NoSuchSection(_miss(placed.section, frame.plane.shape, cutout, coordinates))
    placed.section.check_size(frame.plane.shape, turned=turned)
    return placed


def _upright(
    frame: FitsFrame, cutout: Cutout, coordinates: FrameCoordinates | None, centre: tuple[float, float]
) -> PlacedCutout:
    """Returns the cutout in whole pixels of the frame, laid out as its thumbnail is."""
    orientation, _ = orientation_of(frame.header)
    size = cutout.size
    if coordinates is not None and not cutout.in_pixels:
        across, along = np.hypot(*coordinates.derivative(centre)).tolist()
        width, height = size[::-1] if orientation.transpose else size
        size = width / across, height / along
    section = Section.around(centre, size)
    shape = section.height, section.width
    return PlacedCutout(section, orientation, orientation.picture_size(shape), section.covered(frame.plane.shape))


def _turned(
    cutout: Cutout, coordinates: FrameCoordinates, centre: tuple[float, float], shape: tuple[int, int]
) -> PlacedCutout:
    """Returns the cutout with north up exactly, by the coordinates at its centre."""
    matrix = coordinates.derivative(centre)
    orientation, angle = nearest_orientation(matrix)
    scale = 1.0 if cutout.in_pixels else math.sqrt(abs(float(np.linalg.det(matrix))))
    width, height = (max(1, round(side / scale)) for side in cutout.size)
    cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    bounds = width * cos + height * sin + MARGIN, width * sin + height * cos + MARGIN
    section = Section.around(centre, bounds[::-1] if orientation.transpose else bounds)
    placed = PlacedCutout(section, orientation, (width, height), 0.0, angle, turned=True)
    return PlacedCutout(section, orientation, (width, height), _share_inside(placed, shape), angle, turned=True)


def _share_inside(placed: PlacedCutout, shape: tuple[int, int]) -> float:
    """Returns the share of the picture that is in a frame with *shape* rows and columns."""
    width, height = placed.size
    return share_inside(placed.to_frame(np.array([[0.0, 0], [width, 0], [width, height], [0, height]])), shape)


def _miss(section: Section, shape: tuple[int, int], cutout: Cutout, coordinates: FrameCoordinates | None) -> str:
    """Returns why there is no cutout: how far its centre is from the frame."""
    if coordinates is not None and cutout.on_sky:
        ra, dec = cutout.centre
        return f"the frame does not show {ra:g}, {dec:g}: it is {coordinates.distance_to(ra, dec)} away"
    return f"the frame has {shape[1]:,} x {shape[0]:,} pixels: the section {section} is outside of it"
