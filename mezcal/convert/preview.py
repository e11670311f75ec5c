"""A small copy of a derivative for lists, made in at most `MEMORY_MAX` bytes for any size of the derivative."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from typing import BinaryIO

EDGE = 160  # pixels, the longer side
SCALE = 8  # libjpeg can decode an eighth of the width and height, a row at a time
MEMORY_MAX = 64_000_000
PROGRESSIVE_PIXELS_MAX = MEMORY_MAX // 6  # all coefficients are held: two bytes for each of three channels
PIXELS_MAX = MEMORY_MAX // 8  # of other formats, which are decoded whole: four channels, and a copy
FORMATS = ["JPEG", "TIFF", "WEBP", "PNG"]


def preview(file: BinaryIO) -> bytes | None:
    """Returns the picture in *file* as a JPEG of at most `EDGE` pixels a side. None if it would take too much memory.

    Raises `OSError` if it is no picture that can be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _open(file)
        if image.format == "TIFF":
            _seek_level(image)
        if not _fits(image):
            return None
        image.draft("RGB", (EDGE, EDGE))
        image.thumbnail((EDGE, EDGE), Image.Resampling.BOX, reducing_gap=None)
    small = io.BytesIO()
    image.convert("RGB").save(small, "JPEG", quality=75)
    return small.getvalue()


def _open(file: BinaryIO) -> Image.Image:
    """Open *file* without Pillow's limit of pixels, which is for pictures that are decoded in full size."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return Image.open(file, formats=FORMATS)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _seek_level(image: Image.Image) -> None:
    """Go to the smallest level of a pyramid that has enough pixels; to the largest if none has."""
    for level in reversed(range(getattr(image, "n_frames", 1))):
        image.seek(level)
        if max(image.size) >= EDGE:
            return


def _fits(image: Image.Image) -> bool:
    """Returns True if it takes at most `MEMORY_MAX`. JPEGs too narrow to be scaled by `SCALE` have few pixels."""
    pixels = image.width * image.height
    if image.format != "JPEG":
        return pixels <= PIXELS_MAX
    if image.info.get("progressive"):
        return pixels <= PROGRESSIVE_PIXELS_MAX
    return 3 * pixels // SCALE**2 <= MEMORY_MAX
