"""Writes the JPEG file.

Baseline files are encoded strip by strip in several threads. Progressive ones are encoded by libvips, which holds them
whole. The JFIF segment is written here, because libvips writes a resolution only together with EXIF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import imagecodecs
import pyvips

from mezcal.convert.jpeg import metadata, restart_intervals
from mezcal.convert.whole_picture import FileSink, observe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.options import ConversionOptions
    from mezcal.convert.pixels.rows import Rows

BLOCK = 8  # pixels a side


@dataclass(frozen=True, slots=True)
class JpegEncoder:
    """Writes pictures as *context* asks for, with metadata of the *decoded* master and the profile *icc*."""

    context: ConversionContext
    decoded: Decoded
    icc: bytes | None

    @property
    def _options(self) -> ConversionOptions:
        return self.context.options

    def write(self, rows: Rows, file: BinaryIO) -> None:
        """Write *rows* to *file*. Failures to write are raised as they are."""
        if self._options.progressive:
            self._write_progressive(rows, file)
        else:
            self._write_baseline(rows, file)

    def _write_baseline(self, rows: Rows, file: BinaryIO) -> None:
        strips, header = rows.strips, b""
        metadata_segments = self._metadata(rows)  # before any row: it empties libvips' error buffer
        interval = self._restart_interval(rows) if strips.count > 1 else 0

        def encode(pixels: NDArray[Any]) -> restart_intervals.EncodedStrip:
            return restart_intervals.split_jpeg(self._encode(pixels), strips.height, interval)

        for index, strip in enumerate(rows.map(encode)):
            if index == 0:
                header = strip.header
                jfif = jfif_segment(self.decoded.upright_dpi)
                file.write(restart_intervals.START + jfif + metadata_segments + header)
            if strip.header != header:
                raise ValueError("the encoder changed its tables in the middle of a picture")
            file.write(restart_intervals.restart_marker(index))
            file.write(strip.pixels)
            self.context.report_progress((index + 1) / strips.count)
        file.write(restart_intervals.END)

    def _restart_interval(self, rows: Rows) -> int:
        """Returns the coded units in a strip. Their sides are twice as long if colour is subsampled."""
        unit = BLOCK if self._options.subsampling == "4:4:4" or rows.bands == 1 else 2 * BLOCK
        return -(-rows.strips.width // unit) * (rows.strips.rows // unit)

    def _encode(self, pixels: NDArray[Any]) -> bytes:
        grey = pixels.shape[2] == 1
        sampling = None if grey else self._options.subsampling.replace(":", "")
        return bytes(
            imagecodecs.jpeg8_encode(
                pixels[..., 0] if grey else pixels, self._options.quality, subsampling=sampling, optimize=False
            )
        )

    def _metadata(self, rows: Rows) -> bytes:
        """Returns the segments of profile and metadata, as libvips writes them."""
        blank = pyvips.Image.black(BLOCK, BLOCK, bands=rows.bands)
        blank = blank.copy(interpretation="srgb" if rows.bands == 3 else "b-w")
        image, keep = self._with_metadata(blank, rows)
        return restart_intervals.metadata_segments(image.jpegsave_buffer(keep=keep)) if keep != "none" else b""

    def _with_metadata(self, image: Any, rows: Rows) -> tuple[Any, str]:
        size = (rows.strips.width, rows.strips.height)
        return metadata.with_metadata(image, size, self.decoded, self.icc, self._options)

    def _write_progressive(self, rows: Rows, file: BinaryIO) -> None:
        image, keep = self._with_metadata(rows.whole(), rows)
        observe(image, self.context.report_progress)
        sink = JpegSink(file, self.decoded.upright_dpi)
        target = pyvips.TargetCustom()
        target.on_write(sink.write)
        mode = "off" if self._options.subsampling == "4:4:4" else "on"
        try:
            image.jpegsave_target(
                target, Q=self._options.quality, subsample_mode=mode, interlace=True, optimize_coding=True, keep=keep
            )
        finally:
            if sink.failure is not None:
                raise sink.failure


class JpegSink(FileSink):
    """Writes libvips' bytes to *file*, with the JFIF segment after the first marker."""

    def __init__(self, file: BinaryIO, dpi: tuple[float, float] | None) -> None:
        super().__init__(file)
        self._jfif = jfif_segment(dpi)
        self._started = False

    def write_bytes(self, data: bytes) -> None:
        """Write *data* to the file."""
        if not self._started:
            self._started = True
            super().write_bytes(data[:2] + self._jfif)
            data = data[2:]
        super().write_bytes(data)


def jfif_segment(dpi: tuple[float, float] | None) -> bytes:
    """Returns the APP0 segment. A resolution that does not fit (JFIF 1.02: 16 bits each) is left out."""
    across, down = (round(dpi[0]), round(dpi[1])) if dpi and all(1 <= d <= 65_535 for d in dpi) else (0, 0)
    unit, across, down = (1, across, down) if across and down else (0, 1, 1)
    return struct.pack(">BBH5sHBHHBB", 0xFF, 0xE0, 16, b"JFIF\0", 0x0102, unit, across, down, 0, 0)
