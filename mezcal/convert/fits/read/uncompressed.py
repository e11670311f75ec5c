"""Frames that are not compressed, read from the file in blocks of rows: they are never whole in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.read.byte_ranges import bytes_at, fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.fits.read.planes import Pixels

STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, slots=True)
class Plain:
    """Pixels as they are in *file* from byte *start*; *unsigned* ones are stored less half their range."""

    file: BinaryIO
    start: int
    shape: tuple[int, int]
    stored: np.dtype[Any]
    unsigned: bool

    def rows(self, start: int, stop: int) -> Pixels:
        """The rows, read anew."""
        columns = self.shape[1]
        pixels = np.empty((stop - start, columns), self.stored)
        place = self.start + start * columns * self.stored.itemsize
        fill(pixels, self.file, place)
        return self._native(pixels)

    def at(self, places: NDArray[np.int64]) -> Pixels:
        """Single pixels, counted row after row."""
        size = self.stored.itemsize
        found = b"".join([bytes_at(self.file, place, size) for place in (self.start + places * size).tolist()])
        return self._native(np.frombuffer(found, self.stored))

    def _native(self, pixels: Pixels) -> Pixels:
        """*pixels* in this machine's order of bytes, and with their sign."""
        pixels = pixels.astype(self.stored.newbyteorder("="), copy=False)
        if self.unsigned:
            pixels = pixels.view(f"u{self.stored.itemsize}")
            pixels ^= pixels.dtype.type(1 << (8 * self.stored.itemsize - 1))
        return pixels


def plain(hdu: Any, file: BinaryIO, number: int) -> Plain | None:
    """The *number*-th plane of *hdu*, from 0; None if astropy is to read it: it is compressed or scaled, has BLANK."""
    if isinstance(hdu, fits.CompImageHDU) or not isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU):
        return None
    header, bits = hdu.header, hdu.header["BITPIX"]
    zero = header.get("BZERO", 0)
    unsigned = bits > 8 and zero == 1 << (bits - 1)
    if bits not in STORED or header.get("BSCALE", 1) != 1 or not (unsigned or zero == 0) or "BLANK" in header:
        return None
    rows, columns = hdu.shape[-2:]
    stored = np.dtype(STORED[bits])
    start = hdu.fileinfo()["datLoc"] + number * rows * columns * stored.itemsize
    return Plain(file, start, (rows, columns), stored, unsigned)
