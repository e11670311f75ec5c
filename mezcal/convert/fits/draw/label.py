"""The label in the lower left corner, in DejaVu Sans Mono, which has Latin, Greek, Cyrillic and many signs."""

from __future__ import annotations

from importlib.resources import as_file, files

from PIL import Image, ImageDraw, ImageFont

POINTS = 20
LEAST_POINTS = 10  # below this nobody reads it: it is cut instead
MARGIN = 4  # pixels
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def labelled(picture: Image.Image, text: str, *, outlined: bool) -> None:
    """Write *text* onto *picture*, shrunk until it fits; *outlined*, a dark edge keeps it readable on white.

    As fits2image has it, size by size, so that the pixels are the same; but cut where that ended unreadable.
    """
    room = picture.width - MARGIN
    font = _font(POINTS)
    for points in range(POINTS, LEAST_POINTS - 1, -1):
        font = _font(points)
        if font.getbbox(text)[2] <= room:
            break
    text = _cut(text, font, room)
    place = MARGIN, picture.height - MARGIN - font.getbbox(text)[3]
    edge = 1 if outlined else 0
    ImageDraw.Draw(picture).text(place, text, font=font, fill="white", stroke_width=edge, stroke_fill="black")


def _cut(text: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    if font.getbbox(text)[2] <= room:
        return text
    while text and font.getbbox(text + ELLIPSIS)[2] > room:
        text = text[:-1].rstrip()
    return text + ELLIPSIS


def _font(points: int) -> ImageFont.FreeTypeFont:
    with as_file(files("mezcal.convert.fits.draw") / "font" / "DejaVuSansMono.ttf") as path:
        return ImageFont.truetype(str(path), points)
