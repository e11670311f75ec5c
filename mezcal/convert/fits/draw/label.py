"""The label in the lower left corner, in DejaVu Sans Mono, which has Latin, Greek and Cyrillic letters."""

from __future__ import annotations

from importlib.resources import as_file, files

from PIL import Image, ImageDraw, ImageFont

POINTS_MAX = 20
POINTS_MIN = 10  # smaller letters cannot be read: the text is cut instead
POINTS_MIN_LCO = 1  # thumbnail-service does not cut
MARGIN = 4  # pixels
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def draw_label(picture: Image.Image, text: str, *, outlined: bool) -> None:
    """Write *text* onto *picture*, in the largest size that fits.

    With *outlined*, a dark edge keeps it readable on white, and its letters are never too small to read.
    The sizes are tried as in fits2image, so that the pixels are the same. A text that is still too long is cut.
    """
    width = picture.width - MARGIN
    font = load_font(POINTS_MAX)
    for points in range(POINTS_MAX, (POINTS_MIN if outlined else POINTS_MIN_LCO) - 1, -1):
        font = load_font(points)
        if font.getbbox(text)[2] <= width:
            break
    text = _cut(text, font, width)
    place = MARGIN, picture.height - MARGIN - font.getbbox(text)[3]
    edge = 1 if outlined else 0
    ImageDraw.Draw(picture).text(place, text, font=font, fill="white", stroke_width=edge, stroke_fill="black")


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getbbox(text)[2] <= width:
        return text
    while text and font.getbbox(text + ELLIPSIS)[2] > width:
        text = text[:-1].rstrip()
    return text + ELLIPSIS


def load_font(points: int) -> ImageFont.FreeTypeFont:
    """Returns the label's font in a size of *points*."""
    with as_file(files("mezcal.convert.fits.draw") / "font" / "DejaVuSansMono.ttf") as path:
        return ImageFont.truetype(str(path), points)
