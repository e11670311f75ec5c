"""EXIF orientation, in memory that does not grow with the picture.

To turn a picture upright, its last row must be known before the first can be written. So the finished pixels are
written band by band to a scratch file without a name, and read back strip by strip: as they are for a picture upside
down, one segment of each band for a picture on its side.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mezcal.convert.engines.row_stream import STRIP_BYTES, Strips, rows_per_strip
from mezcal.convert.pixels.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BAND_BYTES = 8 * 2**20  # turned at once; several copies of it are in memory


def upright(rows: Rows, orientation: int, scratch: Path | None) -> tuple[Rows, BinaryIO | None]:
    """Returns *rows* turned upright by EXIF's *orientation*, and the scratch file that they are read from.

    A picture is turned by rotating it, mirroring it or both. The file takes the bytes of all pixels in the folder
    *scratch*. It has no name and vanishes when it is closed.
    """
    if orientation in (1, 2):  # 2 is mirrored already, by `Conversion._scaled_rows`
        return rows, None
    file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - the caller closes it, after the last row
    try:
        reorientation = (Sideways if orientation >= 5 else UpsideDown)(file.fileno(), rows, orientation)
        reorientation.write_scratch()
        return Rows(reorientation.strips()), file
    except BaseException:
        file.close()
        raise


@dataclass
class Reorientation:
    """Pixels on their way through the scratch file *fd*. Width and height are those before it is turned."""

    fd: int
    rows: Rows
    orientation: int

    @property
    def width(self) -> int:
        """Pixels."""
        return self.rows.strips.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.rows.strips.height

    @property
    def pixel_bytes(self) -> int:
        """Bytes a pixel."""
        return self.rows.bands * self.rows.dtype.itemsize

    @property
    def pixel(self) -> np.dtype[Any]:
        """One pixel as one element: numpy moves those twice as fast as bytes."""
        return np.dtype(f"V{self.pixel_bytes}")

    def strips(self) -> Strips:
        """Returns the upright picture."""
        width, height = (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)
        return Strips(width, height, self.rows.bands, self.rows.dtype, self.strip_rows, self.read_strip)

    @property
    def band_rows(self) -> int:
        """Rows that are turned at once: those of several strips."""
        strip_rows = self.rows.strips.rows
        return max(1, rows_per_strip(self.width * self.pixel_bytes, BAND_BYTES) // strip_rows) * strip_rows

    @property
    def strip_rows(self) -> int:
        """Rows of the upright picture in one strip."""
        return rows_per_strip((self.height if self.orientation >= 5 else self.width) * self.pixel_bytes, STRIP_BYTES)

    def read_strip(self, index: int) -> NDArray[Any]:
        """Returns the upright picture's rows from *index* x `strip_rows` on."""
        raise NotImplementedError

    def write_scratch(self) -> None:
        """Write the rows to the scratch file, from top to bottom."""
        band = np.empty((self.band_rows, self.width), self.pixel)
        position = filled = 0
        for rows in self.rows:
            band[filled : filled + len(rows)] = rows.reshape(len(rows), -1).view(self.pixel)
            filled += len(rows)
            if filled == self.band_rows:
                position += _write(self.fd, self.arrange(band), position)
                filled = 0
        _write(self.fd, self.arrange(band[:filled]), position)

    def arrange(self, band: NDArray[Any]) -> NDArray[Any]:
        """Returns *band* in the order in which it is read back."""
        return band

    def _samples(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(pixels).view(self.rows.dtype).reshape(*pixels.shape, self.rows.bands)


class UpsideDown(Reorientation):
    """Orientation 3 (rotated by 180 degrees) and 4 (mirrored top to bottom)."""

    def read_strip(self, index: int) -> NDArray[Any]:
        """Returns rows counted from the bottom."""
        end = self.height - index * self.strip_rows
        rows = min(self.strip_rows, end)
        size = self.width * self.pixel_bytes
        raw = os.pread(self.fd, rows * size, (end - rows) * size)
        lines = np.frombuffer(raw, self.pixel).reshape(rows, self.width)[::-1]
        return self._samples(lines[:, ::-1] if self.orientation == 3 else lines)


class Sideways(Reorientation):
    """Orientations 5 to 8: the columns of each band are written as the rows of a panel."""

    def arrange(self, band: NDArray[Any]) -> NDArray[Any]:
        """Returns *band* with rows and columns exchanged, and mirrored if the orientation says so."""
        panel = band.T
        if self.orientation in (7, 8):
            panel = panel[::-1]
        return panel[:, ::-1] if self.orientation in (6, 7) else panel

    def read_strip(self, index: int) -> NDArray[Any]:
        """Returns one segment of each panel, side by side."""
        first = index * self.strip_rows
        lines = min(self.strip_rows, self.width - first)
        panels = [self._read_segment(top, first, lines) for top in range(0, self.height, self.band_rows)]
        return self._samples(np.concatenate(panels[::-1] if self.orientation in (6, 7) else panels, axis=1))

    def _read_segment(self, top: int, first: int, lines: int) -> NDArray[Any]:
        wide = min(self.band_rows, self.height - top)
        position = (top * self.width + first * wide) * self.pixel_bytes
        raw = os.pread(self.fd, lines * wide * self.pixel_bytes, position)
        return np.frombuffer(raw, self.pixel).reshape(lines, wide)


def _write(fd: int, pixels: NDArray[Any], position: int) -> int:
    """Write all of *pixels* at *position*. Returns their bytes."""
    view = np.ascontiguousarray(pixels).reshape(-1).view("u1").data
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done : done + 2**26], position + done)
    return done
