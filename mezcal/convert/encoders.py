"""The encoders by format, and the memory that they take on top of the rows that are worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

from mezcal.convert.jpeg.encoder import JpegEncoder
from mezcal.convert.options import JPEG, PYRAMID, WEBP, ConversionOptions
from mezcal.convert.pixels.colour import colour_conversion
from mezcal.convert.pyramid import encoder as pyramid
from mezcal.convert.webp import WebpEncoder, webp_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.pixels.colour import ColourConversion
    from mezcal.convert.pixels.rows import Rows

Size = tuple[int, int]
NAMES = {JPEG: "JPEG", PYRAMID: "pyramid", WEBP: "WebP"}
PROGRESSIVE_BYTES = 6  # a pixel, that the encoder of a progressive JPEG holds: the coefficients of three samples


class Encoder(Protocol):
    """Writes one picture."""

    def write(self, rows: Rows, file: BinaryIO) -> None:
        """Write *rows* to *file*. Failures to write are raised as they are."""


ENCODERS: dict[str, Callable[[ConversionContext, Decoded, bytes | None], Encoder]] = {
    JPEG: JpegEncoder,
    PYRAMID: pyramid.PyramidEncoder,
    WEBP: WebpEncoder,
}


def encoder_of(context: ConversionContext, decoded: Decoded, conversion: ColourConversion) -> Encoder:
    """Returns the encoder of the format that *context* asks for."""
    return ENCODERS[context.options.format](context, decoded, conversion.embedded_profile)


def output_size(size: Size, options: ConversionOptions) -> Size:
    """Returns *size*, or the smaller one that the longest side of a derivative leaves."""
    longest, edge = max(size), options.longest_side
    if longest <= edge:
        return size
    return max(1, round(size[0] * edge / longest)), max(1, round(size[1] * edge / longest))


def shown_bytes(decoded: Decoded, options: ConversionOptions) -> int:
    """Returns the bytes of a converted pixel."""
    conversion = colour_conversion(decoded, options, None)
    return conversion.bands * conversion.dtype.itemsize


def encoder_bytes(decoded: Decoded, options: ConversionOptions) -> int:
    """Returns the bytes that the encoder takes for the picture *decoded*."""
    width, height = output_size((decoded.image.width, decoded.image.height), options)
    if options.format == JPEG:
        return PROGRESSIVE_BYTES * width * height if options.progressive else 0
    conversion = colour_conversion(decoded, options, None)
    layout = conversion.bands, conversion.dtype
    if options.format == WEBP:
        return webp_bytes((width, height), conversion.bands, options)
    upright = (height, width) if decoded.orientation >= 5 else (width, height)
    return pyramid.memory_needed(upright, layout, options.tile)
