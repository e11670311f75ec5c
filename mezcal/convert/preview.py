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


def preview(file: BinaryIO) -> bytes | None:
    """Returns the JPEG in *file* as a JPEG of at most `EDGE` pixels a side. None if it would take too much memory.

    Raises `OSError` if it is no JPEG that can be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _open(file)
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
        return Image.open(file, formats=["JPEG"])
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _fits(image: Image.Image) -> bool:
    """Returns True if it takes at most `MEMORY_MAX`. Pictures too narrow to be scaled by `SCALE` have few pixels."""
    pixels = image.width * image.height
    if image.info.get("progressive"):
        return pixels <= PROGRESSIVE_PIXELS_MAX
    return 3 * pixels // SCALE**2 <= MEMORY_MAX
