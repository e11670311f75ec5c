"""Orientation, in memory that does not grow with the picture.

Turning needs the last row before the first can be written. The finished 8-bit pixels go band by band to a
nameless scratch file, and come back from it strip by strip: read where they lie for a picture upside down,
one segment of each band for a picture on its side.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mezcal.convert.engines.row_stream import STRIP_BYTES, Strips, rows_of
from mezcal.convert.pixels.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BAND_BYTES = 8 * 2**20  # what is turned at once: several copies of it are in memory


def upright(rows: Rows, orientation: int, scratch: Path | None) -> tuple[Rows, BinaryIO | None]:
    """*rows* turned as EXIF's *orientation* says, and the scratch file they now hang on.

    The file has no name and vanishes when it is closed; it takes width x height x bands bytes.
    """
    if orientation in (1, 2):  # libvips mirrors left and right as it decodes
        return rows, None
    file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed by the caller, after the last row
    try:
        kind = Sideways if orientation >= 5 else UpsideDown
        turned = kind(file.fileno(), rows, orientation)
        turned.take()
        return Rows(turned.strips()), file
    except BaseException:
        file.close()
        raise


@dataclass
class Turned:
    """Pixels on their way through the scratch file *fd*; width and height are those before turning."""

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
    def bands(self) -> int:
        """Bytes a pixel."""
        return self.rows.bands

    @property
    def pixel(self) -> np.dtype[Any]:
        """One pixel as one element: numpy moves those twice as fast as bytes."""
        return np.dtype(f"V{self.bands}")

    def strips(self) -> Strips:
        """The turned picture."""
        width, height = (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)
        return Strips(width, height, self.bands, np.dtype("u1"), self.strip_rows, self.strip)

    @property
    def band(self) -> int:
        """Rows that are turned at once: those of several strips."""
        each = self.rows.strips.rows
        return max(1, rows_of(self.width * self.bands, BAND_BYTES) // each) * each

    @property
    def strip_rows(self) -> int:
        """Rows of the turned picture that are put together at once."""
        return rows_of((self.height if self.orientation >= 5 else self.width) * self.bands, STRIP_BYTES)

    def strip(self, place: int) -> NDArray[Any]:
        """The turned picture's rows from *place* x `strip_rows` on."""
        raise NotImplementedError

    def _bytes(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(pixels).view("u1").reshape(*pixels.shape, self.bands)

    def take(self) -> None:
        """Write the rows to the scratch file, top to bottom."""
        band = np.empty((self.band, self.width), self.pixel)
        at = held = 0
        for rows in self.rows.one_by_one():
            band[held : held + len(rows)] = rows.reshape(len(rows), -1).view(self.pixel)
            held += len(rows)
            if held == self.band:
                at += _write(self.fd, self.laid_out(band), at)
                held = 0
        _write(self.fd, self.laid_out(band[:held]), at)

    def laid_out(self, band: NDArray[Any]) -> NDArray[Any]:
        """*band* as it is best read back."""
        return band


class UpsideDown(Turned):
    """Orientation 3 (turned by 180 degrees) and 4 (mirrored top to bottom)."""

    def strip(self, place: int) -> NDArray[Any]:
        """Rows counted from the bottom."""
        end = self.height - place * self.strip_rows
        rows = min(self.strip_rows, end)
        size = self.width * self.bands
        raw = os.pread(self.fd, rows * size, (end - rows) * size)
        lines = np.frombuffer(raw, self.pixel).reshape(rows, self.width)[::-1]
        return self._bytes(lines[:, ::-1] if self.orientation == 3 else lines)


class Sideways(Turned):
    """Orientations 5 to 8: each band's columns become rows of a panel, written as they stand."""

    def laid_out(self, band: NDArray[Any]) -> NDArray[Any]:
        """Rows and columns exchanged, and mirrored where the orientation says so."""
        turned = band.T
        if self.orientation in (7, 8):
            turned = turned[::-1]
        return turned[:, ::-1] if self.orientation in (6, 7) else turned

    def strip(self, place: int) -> NDArray[Any]:
        """One segment of each panel, side by side."""
        first = place * self.strip_rows
        lines = min(self.strip_rows, self.width - first)
        panels = [self._segment(top, first, lines) for top in range(0, self.height, self.band)]
        return self._bytes(np.concatenate(panels[::-1] if self.orientation in (6, 7) else panels, axis=1))

    def _segment(self, top: int, first: int, lines: int) -> NDArray[Any]:
        wide = min(self.band, self.height - top)
        at = top * self.width * self.bands + first * wide * self.bands
        raw = os.pread(self.fd, lines * wide * self.bands, at)
        return np.frombuffer(raw, self.pixel).reshape(lines, wide)


def _write(fd: int, pixels: NDArray[Any], at: int) -> int:
    """Bytes written at *at*: all of *pixels*."""
    view = np.ascontiguousarray(pixels).reshape(-1).view("u1").data
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done : done + 2**26], at + done)
    return done
