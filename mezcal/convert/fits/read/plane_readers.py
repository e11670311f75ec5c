"""Which reader reads the pixels of an HDU. This is the only place that decides it.

Our own readers take less than half of astropy's time for the common layouts. With `READERS = (read_by_astropy,)`
astropy reads all layouts, and every picture is the same.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from mezcal.convert.fits.read.astropy_planes import read_by_astropy
from mezcal.convert.fits.read.tile_table import read_rice
from mezcal.convert.fits.read.uncompressed import read_uncompressed
from mezcal.errors import Undecodable

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Plane


class PlaneReader(Protocol):
    """Reads some layouts of HDUs."""

    def __call__(self, hdu: Any, file: BinaryIO, number: int, /) -> Plane | None:
        """Returns the *number*-th plane of *hdu*, from 0, read from *file*. None if the layout is not supported."""


READERS: tuple[PlaneReader, ...] = (read_uncompressed, read_rice, read_by_astropy)  # the last one reads every layout


def open_plane(hdu: Any, file: BinaryIO, number: int) -> Plane:
    """Returns the *number*-th plane of *hdu*, from 0, by the first reader that supports its layout.

    In a cube, the first axis of FITS runs fastest. Raises `Undecodable` if there is no such plane.
    """
    if number >= prod(hdu.shape[:-2]):
        raise Undecodable(f"the frame has no plane {number + 1}")
    return next(plane for read in READERS if (plane := read(hdu, file, number)) is not None)
