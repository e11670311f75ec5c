"""A derivative made small enough for a list: never more memory than `BYTES_MOST`, whatever the derivative's size."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from typing import BinaryIO

EDGE = 160  # pixels, the longer side
SCALE = 8  # libjpeg's decoder makes a picture of an eighth of the width and height, a row at a time
BYTES_MOST = 64_000_000
PROGRESSIVE_PIXELS_MOST = BYTES_MOST // 6  # its coefficients are held whole: two bytes for each of three channels


def preview(file: BinaryIO) -> bytes | None:
    """The JPEG in *file* as a JPEG of at most `EDGE` pixels a side; None for one that would take too much memory.

    Raises OSError where it is no JPEG that can be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _opened(file)
        if not _fits(image):
            return None
        image.draft("RGB", (EDGE, EDGE))
        image.thumbnail((EDGE, EDGE), Image.Resampling.BOX, reducing_gap=None)
    small = io.BytesIO()
    image.convert("RGB").save(small, "JPEG", quality=75)
    return small.getvalue()


def _opened(file: BinaryIO) -> Image.Image:
    """Our own limit takes the place of Pillow's, which does not know that most of the picture is left out."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return Image.open(file, formats=["JPEG"])
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _fits(image: Image.Image) -> bool:
    """Whether it is decoded in little memory. One that is too narrow to be decoded at an eighth has few pixels."""
    pixels = image.width * image.height
    if image.info.get("progressive"):
        return pixels <= PROGRESSIVE_PIXELS_MOST
    return 3 * pixels // SCALE**2 <= BYTES_MOST
