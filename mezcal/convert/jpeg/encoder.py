"""The JPEG file. The JFIF segment is ours: libvips writes a resolution only together with EXIF.

Baseline files are encoded strip by strip in several threads; progressive ones by libvips, which holds them whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import imagecodecs
import pyvips

from mezcal.convert.jpeg import metadata, restart_intervals

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.options import ConversionOptions
    from mezcal.convert.pixels.rows import Rows

SIDE_MAX = 65_500  # libvips and libjpeg end there, JPEG itself at 65,535
UNIT = 8  # the side of a block


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a derivative is to be like, and what its master had to say: *loaded*, *icc* is the profile to embed."""

    choices: ConversionOptions
    loaded: Decoded
    icc: bytes | None
    progress: Callable[[float], None] | None = None

    def write(self, rows: Rows, file: BinaryIO) -> None:
        """Write *rows* to *file*, whose own failures come out as they are."""
        if self.choices.progressive:
            self._progressive(rows, file)
        else:
            self._baseline(rows, file)

    def _baseline(self, rows: Rows, file: BinaryIO) -> None:
        strips, header = rows.strips, b""
        interval = self._interval(rows) if strips.count > 1 else 0

        def encoded(pixels: NDArray[Any]) -> restart_intervals.EncodedStrip:
            return restart_intervals.piece(self._encoded(pixels), strips.height, interval)

        for place, piece in enumerate(rows.in_order(encoded)):
            if place == 0:
                header = piece.header
                file.write(restart_intervals.START + jfif(self._dpi) + self._notes(rows) + header)
            if piece.header != header:
                raise ValueError("the encoder changed its tables in the middle of a picture")
            file.write(restart_intervals.restart(place))
            file.write(piece.pixels)
            if self.progress is not None:
                self.progress((place + 1) / strips.count)
        file.write(restart_intervals.END)

    def _interval(self, rows: Rows) -> int:
        """Units in a strip; where colour is coded for two by two pixels, they are twice as large."""
        unit = UNIT if self.choices.subsampling == "4:4:4" or rows.bands == 1 else 2 * UNIT
        return -(-rows.strips.width // unit) * (rows.strips.rows // unit)

    def _encoded(self, pixels: NDArray[Any]) -> bytes:
        grey = pixels.shape[2] == 1
        sampling = None if grey else self.choices.subsampling.replace(":", "")
        return bytes(
            imagecodecs.jpeg8_encode(
                pixels[..., 0] if grey else pixels, self.choices.quality, subsampling=sampling, optimize=False
            )
        )

    @property
    def _dpi(self) -> tuple[float, float] | None:
        """Across and down, of the picture as it is shown."""
        dpi = self.loaded.dpi
        return dpi[::-1] if dpi and self.loaded.orientation >= 5 else dpi

    def _notes(self, rows: Rows) -> bytes:
        """The segments of profile and metadata, as libvips writes them."""
        blank = pyvips.Image.black(UNIT, UNIT, bands=rows.bands)
        blank = blank.copy(interpretation="srgb" if rows.bands == 3 else "b-w")
        noted, keep = self._noted(blank, rows)
        return restart_intervals.notes(noted.jpegsave_buffer(keep=keep)) if keep != "none" else b""

    def _noted(self, image: Any, rows: Rows) -> tuple[Any, str]:
        size = (rows.strips.width, rows.strips.height)
        return metadata.noted(image, size, self._dpi, self.loaded, self.icc, self.choices)

    def _progressive(self, rows: Rows, file: BinaryIO) -> None:
        image, keep = self._noted(rows.whole(), rows)
        if self.progress is not None:
            _report(image, self.progress)
        sink = JpegFile(file, self._dpi)
        target = pyvips.TargetCustom()
        target.on_write(sink.write)
        mode = "off" if self.choices.subsampling == "4:4:4" else "on"
        try:
            image.jpegsave_target(
                target, Q=self.choices.quality, subsample_mode=mode, interlace=True, optimize_coding=True, keep=keep
            )
        finally:
            if sink.failure is not None:
                raise sink.failure


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


def _report(image: Any, progress: Callable[[float], None]) -> None:
    image.set_progress(True)
    image.signal_connect("eval", lambda _image, state: progress(state.percent / 100))
