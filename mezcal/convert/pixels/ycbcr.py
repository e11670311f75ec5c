"""YCbCr samples to RGB, by the TIFF's own coefficients and reference levels (TIFF 6.0, section 21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.convert.engines.decoded import CannotRead

if TYPE_CHECKING:
    from mezcal.convert.tiff.pages import Page

PLAIN = {
    1,
    5,
    8,
    32773,
    32946,
    33003,
    34712,
    34925,
    34926,
    50000,
}  # compressions whose decoders return YCbCr: those of JPEG and WebP return RGB
BT601 = (0.299, 0.587, 0.114)
FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)


def rgb(image: Any, page: Page) -> Any:
    """Returns the 8-bit picture as RGB. Raises `CannotRead` for subsampled chroma and other depths."""
    if page.subsampling != (1, 1) or image.format != "uchar" or image.bands < 3:
        raise CannotRead("YCbCr of this layout")
    red, green, blue = _coefficients(page.directory.hints(529, 3), BT601)
    levels = page.directory.hints(532, 6)
    low = levels if len(levels) == 6 and all(levels[i] < levels[i + 1] for i in (0, 2, 4)) else FULL_RANGE
    luma = (image[0] - low[0]) * (255 / (low[1] - low[0]))
    blueness = (image[1] - low[2]) * (127 / (low[3] - low[2])) * (2 - 2 * blue)
    redness = (image[2] - low[4]) * (127 / (low[5] - low[4])) * (2 - 2 * red)
    greenness = (blueness * blue + redness * red) * (-1 / green)
    return (luma + redness).bandjoin([luma + greenness, luma + blueness]).rint().cast("uchar")


def _coefficients(values: tuple[float, ...], default: tuple[float, float, float]) -> tuple[float, float, float]:
    if len(values) == 3 and all(0 < value < 1 for value in values):
        return values[0], values[1], values[2]
    return default
