"""Writes the WebP file, by libvips. libwebp holds the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import pyvips

from mezcal.convert.jpeg import metadata
from mezcal.convert.whole_picture import FileSink, observe

if TYPE_CHECKING:
    from mezcal.convert.context import ConversionContext
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.options import ConversionOptions
    from mezcal.convert.pixels.rows import Rows

LOSSLESS_QUALITY = 75  # how hard libwebp tries to make the file small
LOSSY_BYTES, ALPHA_BYTES, LOSSLESS_BYTES = 11, 40, 36  # a pixel: measured; libwebp codes alpha as a lossless picture


@dataclass(frozen=True, slots=True)
class WebpEncoder:
    """Writes pictures as *context* asks for, with metadata of the *decoded* master and the profile *icc*."""

    context: ConversionContext
    decoded: Decoded
    icc: bytes | None

    def write(self, rows: Rows, file: BinaryIO) -> None:
        """Write *rows* to *file*. Failures to write are raised as they are."""
        options, size = self.context.options, (rows.strips.width, rows.strips.height)
        image, keep = metadata.with_metadata(rows.whole(), size, self.decoded, self.icc, options)
        observe(image, self.context.report_progress)
        sink = FileSink(file)
        target = pyvips.TargetCustom()
        target.on_write(sink.write)
        quality = LOSSLESS_QUALITY if options.lossless else options.quality
        try:
            image.webpsave_target(target, Q=quality, lossless=options.lossless, exact=options.lossless, keep=keep)
        finally:
            if sink.failure is not None:
                raise sink.failure


def webp_bytes(size: tuple[int, int], bands: int, options: ConversionOptions) -> int:
    """Returns the bytes that a picture of *size* takes while it is encoded."""
    lossy = ALPHA_BYTES if bands in (2, 4) else LOSSY_BYTES
    return size[0] * size[1] * (LOSSLESS_BYTES if options.lossless else lossy)
