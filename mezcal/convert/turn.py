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
import pyvips

from mezcal.convert.strips import Strips

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BAND_BYTES = 8 * 2**20  # what is turned at once: several copies of it are in memory
STRIP_BYTES = 2**20  # what libvips gets or gives at once: it takes memory for it in each step
ROWS_MIN, ROWS_MAX = 8, 128


def upright(image: Any, orientation: int, scratch: Path | None) -> tuple[Any, BinaryIO | None]:
    """*image* (8-bit, read once) turned as EXIF's *orientation* says, and the scratch file it now hangs on.

    The file has no name and vanishes when it is closed; it takes width x height x bands bytes.
    """
    if orientation == 1:
        return image, None
    if orientation == 2:
        return image.fliphor(), None
    file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed by the caller, after the last row
    try:
        kind = Sideways if orientation >= 5 else UpsideDown
        turned = kind(file.fileno(), image.width, image.height, image.bands, orientation)
        turned.take(image)
        return turned.strips().image(), file
    except BaseException:
        file.close()
        raise


@dataclass
class Turned:
    """Pixels on their way through the scratch file *fd*; width and height are those before turning."""

    fd: int
    width: int
    height: int
    bands: int
    orientation: int

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
        """Rows that are turned at once."""
        return rows_of(self.width * self.bands, BAND_BYTES)

    @property
    def strip_rows(self) -> int:
        """Rows of the turned picture that are put together at once."""
        return rows_of((self.height if self.orientation >= 5 else self.width) * self.bands, STRIP_BYTES)

    def strip(self, place: int) -> NDArray[Any]:
        """The turned picture's rows from *place* x `strip_rows` on."""
        raise NotImplementedError

    def take(self, image: Any) -> None:
        """Write *image* to the scratch file, top to bottom."""
        region = pyvips.Region.new(image)
        band = np.empty((self.band, self.width), self.pixel)
        fetch = rows_of(self.width * self.bands, STRIP_BYTES)
        at = 0
        for top in range(0, self.height, self.band):
            rows = min(self.band, self.height - top)
            for first in range(0, rows, fetch):
                some = min(fetch, rows - first)
                raw = region.fetch(0, top + first, self.width, some)
                band[first : first + some] = np.frombuffer(raw, self.pixel).reshape(some, self.width)
            at += _write(self.fd, self.laid_out(band[:rows]), at)

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
        return _bytes(lines[:, ::-1] if self.orientation == 3 else lines)


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
        return _bytes(np.concatenate(panels[::-1] if self.orientation in (6, 7) else panels, axis=1))

    def _segment(self, top: int, first: int, lines: int) -> NDArray[Any]:
        wide = min(self.band, self.height - top)
        at = top * self.width * self.bands + first * wide * self.bands
        raw = os.pread(self.fd, lines * wide * self.bands, at)
        return np.frombuffer(raw, self.pixel).reshape(lines, wide)


def rows_of(row_bytes: int, most: int) -> int:
    """How many rows of *row_bytes* make about *most* bytes, in the eights that JPEG counts in."""
    return max(ROWS_MIN, min(ROWS_MAX, most // row_bytes // ROWS_MIN * ROWS_MIN))


def _bytes(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(pixels).view("u1")


def _write(fd: int, pixels: NDArray[Any], at: int) -> int:
    """Bytes written at *at*: all of *pixels*."""
    view = _bytes(pixels).reshape(-1).data
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done : done + 2**26], at + done)
    return done
