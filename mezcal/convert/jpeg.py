"""The JPEG file: libvips encodes, the JFIF segment with the resolution is ours.

libvips writes a resolution only together with EXIF; a derivative without metadata still has its DPI.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO

import pyvips

if TYPE_CHECKING:
    from mezcal.convert.choices import Choices

SIDE_MAX = 65_500  # libvips and libjpeg end there, JPEG itself at 65,535


class JpegFile:
    """Takes the encoder's bytes, puts the JFIF segment behind the first marker."""

    def __init__(self, file: BinaryIO, dpi: tuple[float, float] | None) -> None:
        self._file = file
        self._jfif = jfif(dpi)
        self._begun = False
        self.failure: Exception | None = None

    def write(self, data: bytes) -> int:
        """Bytes taken; 0 tells libvips to stop, and `failure` has the reason."""
        try:
            if not self._begun:
                self._begun = True
                self._file.write(data[:2] + self._jfif)
                self._file.write(data[2:])
            else:
                self._file.write(data)
        except Exception as error:  # noqa: BLE001 - cannot cross libvips; the caller raises it again
            self.failure = self.failure or error
            return 0
        return len(data)


def jfif(dpi: tuple[float, float] | None) -> bytes:
    """The APP0 segment; a resolution that it cannot hold (JFIF 1.02: 16 bits each) is left out."""
    across, down = (round(dpi[0]), round(dpi[1])) if dpi and all(1 <= d <= 65_535 for d in dpi) else (0, 0)
    unit, across, down = (1, across, down) if across and down else (0, 1, 1)
    return struct.pack(">BBH5sHBHHBB", 0xFF, 0xE0, 16, b"JFIF\0", 0x0102, unit, across, down, 0, 0)


def encode(image: Any, file: BinaryIO, choices: Choices, dpi: tuple[float, float] | None, keep: str) -> None:
    """Write *image* (8-bit grey or RGB) to *file*; the file's own failures come out as they are."""
    sink = JpegFile(file, dpi)
    target = pyvips.TargetCustom()
    target.on_write(sink.write)
    try:
        image.jpegsave_target(
            target,
            Q=choices.quality,
            subsample_mode="off" if choices.subsampling == "4:4:4" else "on",
            interlace=choices.progressive,
            optimize_coding=choices.progressive,
            keep=keep,
        )
    finally:
        if sink.failure is not None:
            raise sink.failure
