"""Frames that are not compressed, read from the file in blocks of rows. They are never whole in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.read.file.byte_ranges import announce, bytes_at, fill
from mezcal.convert.fits.read.layout import Layout
from mezcal.convert.fits.read.planes import Plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.fits.read.planes import Pixels

STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # by BITPIX


@dataclass(frozen=True)
class UncompressedPlane(Plane):
    """Pixels in *file* from byte *start* on. *unsigned* ones are stored less half their range."""

    file: BinaryIO
    start: int
    shape: tuple[int, int]
    stored: np.dtype[Any]
    unsigned: bool

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows, read again."""
        columns = self.shape[1]
        pixels = np.empty((stop - start, columns), self.stored)
        fill(pixels, self.file, self.start + start * columns * self.stored.itemsize)
        return self._native(pixels)

    def for_rows(self, start: int, stop: int) -> Plane:
        """Returns the plane itself. The file is told which bytes will be read."""
        row_bytes = self.shape[1] * self.stored.itemsize
        announce(self.file, self.start + start * row_bytes, self.start + min(stop, self.shape[0]) * row_bytes)
        return self

    def pixels_at(self, places: NDArray[np.int64]) -> Pixels:
        """Returns single pixels: only their bytes are read."""
        size = self.stored.itemsize
        data = b"".join([bytes_at(self.file, position, size) for position in (self.start + places * size).tolist()])
        return self._native(np.frombuffer(data, self.stored))

    def _native(self, pixels: Pixels) -> Pixels:
        """Returns *pixels* in this machine's byte order, and unsigned if they are."""
        pixels = pixels.astype(self.stored.newbyteorder("="), copy=False)
        if self.unsigned:
            pixels = pixels.view(f"u{self.stored.itemsize}")
            pixels ^= pixels.dtype.type(1 << (8 * self.stored.itemsize - 1))
        return pixels


def read_uncompressed(hdu: Any, file: BinaryIO, number: int) -> UncompressedPlane | None:
    """Returns the *number*-th plane of *hdu*, from 0. None if it is compressed, scaled, interleaved or has BLANK."""
    if isinstance(hdu, fits.CompImageHDU) or not isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU):
        return None
    header, bits = hdu.header, hdu.header["BITPIX"]
    zero = header.get("BZERO", 0)
    unsigned = bits > 8 and zero == 1 << (bits - 1)
    if bits not in STORED or header.get("BSCALE", 1) != 1 or not (unsigned or zero == 0) or "BLANK" in header:
        return None
    layout = Layout.of(hdu)
    if not layout.is_usual:
        return None
    rows, columns = layout.plane_shape
    stored = np.dtype(STORED[bits])
    start = hdu.fileinfo()["datLoc"] + number * rows * columns * stored.itemsize
    return UncompressedPlane(file, start, (rows, columns), stored, unsigned)
