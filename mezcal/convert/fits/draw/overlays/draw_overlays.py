"""Draws the overlays of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.convert.fits.draw.overlays.compass import draw_compass, draw_scale_bar
from mezcal.convert.fits.draw.overlays.grid import draw_grid
from mezcal.convert.fits.draw.overlays.marks import draw_circle, draw_crosshair
from mezcal.convert.fits.draw.overlays.pen import Pen
from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from PIL import Image

    from mezcal.convert.fits.draw.overlays.sky_view import SkyView
    from mezcal.convert.fits.draw.scaling import Size
    from mezcal.recipe.overlays import Overlays


LABEL_HEIGHT, LETTER_WIDTH = 28, 12.1  # pixels, of the label in the lower left corner, at most
MARK_PIXELS_MAX = 50 * 4096 * 4096  # marks times pixels of the picture: about a second of one core


def draw_overlays(picture: Image.Image, overlays: Overlays, view: SkyView, label: str | None) -> None:
    """Draw *overlays* onto *picture*, which is RGB and shows *view*. Room is left for the *label*.

    Raises `NoSuchSection` if there are too many marks for so large a picture.
    """
    _check_marks(len(overlays.circle) + len(overlays.crosshair), picture.size)
    pen = Pen.of(picture)
    if label:
        pen.take((0, picture.height - LABEL_HEIGHT, LETTER_WIDTH * len(label), picture.height))
    for mark in overlays.circle:
        draw_circle(pen, view, mark)
    for mark in overlays.crosshair:
        draw_crosshair(pen, view, mark)
    if overlays.scalebar:
        draw_scale_bar(pen, view)
    if overlays.compass:
        draw_compass(pen, view)
    if overlays.grid:
        draw_grid(pen, view)  # its texts are where the others left room
    pen.finish()


def _check_marks(count: int, size: Size) -> None:
    most = MARK_PIXELS_MAX // (size[0] * size[1])
    if count > most:
        raise NoSuchSection(
            f"crosshair and circle have {count} marks: on {size[0]:,} x {size[1]:,} pixels there may be {most}. Ask "
            "for fewer, or for a smaller picture by width and height"
        )
