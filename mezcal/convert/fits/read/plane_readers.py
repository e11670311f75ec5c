"""Which reader reads the pixels of an HDU. This is the only place that decides it.

Our own readers take less than half of astropy's time for the common layouts. With `READERS = (read_by_astropy,)`
astropy reads all layouts, and every picture is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from mezcal.convert.fits.read.astropy_planes import read_by_astropy
from mezcal.convert.fits.read.layout import COLOURS, Layout
from mezcal.convert.fits.read.planes import blocks
from mezcal.convert.fits.read.tiles.tile_table import read_rice
from mezcal.convert.fits.read.uncompressed import read_uncompressed
from mezcal.errors import NoSuchPicture

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.fits.read.planes import Plane


class PlaneReader(Protocol):
    """Reads some layouts of HDUs."""

    def __call__(self, hdu: Any, file: BinaryIO, number: int, /) -> Plane | None:
        """Returns the *number*-th plane of *hdu*, from 0, read from *file*. None if the layout is not supported."""


PLANES_MAX = 100  # of a cube that are searched for data

READERS: tuple[PlaneReader, ...] = (read_uncompressed, read_rice, read_by_astropy)  # the last one reads every layout


def first_with_data(hdu: Any, file: BinaryIO, reserve: Callable[[int], None]) -> int:
    """Returns the first plane of the cube *hdu* that has a number in it, from 0; 0 if the first ones have none.

    *reserve* is called with the bytes that reading a plane takes, before it is read.
    """
    planes = Layout.of(hdu).planes
    if planes == 1 or hdu.header["BITPIX"] > 0:
        return 0
    numbers = range(min(planes, PLANES_MAX))
    return next((number for number in numbers if _has_data(open_plane(hdu, file, number), reserve)), 0)


def colour_planes(hdu: Any, file: BinaryIO, reserve: Callable[[int], None]) -> tuple[Plane, ...]:
    """Returns the red, green and blue plane of *hdu*, an empty tuple if it has no colours, or if one is without data.

    *reserve* is called with the bytes that reading a plane takes, before it is read.
    """
    if not Layout.of(hdu).coloured:
        return ()
    planes = tuple(open_plane(hdu, file, number) for number in range(COLOURS))
    return planes if hdu.header["BITPIX"] > 0 or all(_has_data(plane, reserve) for plane in planes) else ()


def _has_data(plane: Plane, reserve: Callable[[int], None]) -> bool:
    reserve(max(plane.decoding_bytes, plane.block_bytes()))
    rows = blocks(plane.shape[0], plane.block_height())
    return any(np.isfinite(plane.rows(start, stop)).any() for start, stop in rows)


def open_plane(hdu: Any, file: BinaryIO, number: int) -> Plane:
    """Returns the *number*-th plane of *hdu*, from 0, by the first reader that supports its layout.

    In a cube, the first axis of FITS runs fastest. Raises `NoSuchPicture` if there is no such plane.
    """
    planes = Layout.of(hdu).planes
    if number >= planes:
        has = f"{planes:,} planes: name one from 1 to {planes}, for example plane=1" if planes > 1 else "one plane"
        raise NoSuchPicture(f"plane is {number + 1}, and this frame's picture has {has}")
    return next(plane for read in READERS if (plane := read(hdu, file, number)) is not None)
