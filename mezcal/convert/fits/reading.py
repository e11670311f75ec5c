"""FITS files as frames: which HDU is the picture, and where its pixels are."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tempfile
import warnings
import zlib
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.mosaic import Mosaic, quadrants
from mezcal.convert.fits.plain import plain
from mezcal.convert.fits.planes import BLOCK, HELD_MOST, Plane, Sections, Whole
from mezcal.convert.fits.tiling import tiled
from mezcal.errors import NotAnImage, StoreDown, TooLarge, Undecodable
from mezcal.store.room import is_full

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.look import Look

FAULTS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, ArithmeticError),
    *(zlib.error, fits.VerifyError),
)
CFITSIO = "CfitsioException"  # what astropy's decoders raise: an Exception of a private module
GZIP = b"\x1f\x8b"
INFLATED_MOST = 8 * 2**30  # bytes: a compressed file may hold a thousand times its size


@dataclass(frozen=True, slots=True)
class Frame:
    """One open frame; *catalogue* is the HDU with the table of its sources, where the pipeline left one."""

    plane: Plane
    header: Any  # astropy's Header, which is untyped
    catalogue: Any = None


@contextmanager
def reported() -> Iterator[None]:
    """Tell whatever astropy finds wrong with a file as `Undecodable`; warnings are about the headers' style."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            if not isinstance(error, FAULTS) and type(error).__name__ != CFITSIO:
                raise
            if is_full(error):  # of our own disk, on which frames are unpacked and scaled: no fault of theirs
                raise StoreDown("the frame cannot be unpacked: the scratch folder's disk is full") from error
            told = " ".join(str(error).split())[:200] or "no reason was given"
            raise Undecodable(f"the frame cannot be read ({type(error).__name__}: {told})") from error


@contextmanager
def opened(file: BinaryIO, look: Look, scratch: Path, max_pixels: int | None) -> Iterator[Frame]:
    """The frame in *file*; raises `NotAnImage`, `Undecodable` with the reason, or `TooLarge`."""
    with ExitStack() as stack:
        whole = stack.enter_context(_inflated(file, scratch))
        hdus = stack.enter_context(closing(fits.open(whole, mode="readonly", memmap=False, lazy_load_hdus=True)))
        size = whole.seek(0, io.SEEK_END)
        yield _frame(hdus, look, whole, size, max_pixels)


@contextmanager
def _inflated(file: BinaryIO, scratch: Path) -> Iterator[BinaryIO]:
    """*file* itself, or what it holds if it is gzip: in a file without a name, for FITS is read to and fro."""
    start = file.read(9)
    file.seek(0)
    if start[:2] != GZIP:
        _must_be_fits(start)
        yield file
        return
    with tempfile.TemporaryFile(dir=scratch) as whole:
        with gzip.open(file) as inflating:
            shutil.copyfileobj(cast("BinaryIO", _Bounded(inflating)), whole, 2**20)
        whole.seek(0)
        _must_be_fits(whole.read(9))
        with open(os.dup(whole.fileno()), "rb") as reading:  # noqa: PTH123 - astropy wants it open for reading only
            reading.seek(0)
            yield reading


def _must_be_fits(start: bytes) -> None:
    if not start.startswith(b"SIMPLE"):
        raise NotAnImage("the frame is no FITS file: it does not begin with SIMPLE")


class _Bounded:
    def __init__(self, file: Any) -> None:
        self._file, self._left = file, INFLATED_MOST

    def read(self, size: int) -> bytes:
        piece: bytes = self._file.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge(f"the frame inflates to more than {INFLATED_MOST:,} bytes")
        return piece


def _frame(hdus: Any, look: Look, file: BinaryIO, size: int, max_pixels: int | None) -> Frame:
    pictures = _pictures(hdus, look)
    parts = [] if look.hdu or look.look == "lco" else quadrants(pictures)
    for hdu in parts or pictures[:1]:
        _must_be_whole(hdu, size)
        _must_fit(hdu.shape, max_pixels)
    header = _full_header(hdus, pictures[0])
    if parts:
        mosaic = Mosaic.of([(_plane(part, look, file), part.header) for part in parts])
        _must_fit(mosaic.shape, max_pixels)
        return Frame(mosaic, header)
    return Frame(_plane(pictures[0], look, file), header, _catalogue(hdus))


def _pictures(hdus: Any, look: Look) -> list[Any]:
    """The HDUs that may be shown, the one to show first."""
    found = [hdu for hdu in _named(hdus, look.hdu) if _is_picture(hdu)]
    if not found:
        asked = f"HDU {look.hdu!r} of the frame" if look.hdu else "the frame"
        raise Undecodable(f"{asked} holds no picture: {_contents(hdus)}")
    if look.look == "lco":
        return [hdu for hdu in found if len(hdu.shape) == 2] or found
    return [hdu for hdu in found if hdu.name == "SCI"] or found


def _named(hdus: Any, wanted: str | None) -> list[Any]:
    every = list(hdus)
    if wanted is None:
        return every
    if wanted.isdigit():
        return every[int(wanted) : int(wanted) + 1] if len(wanted) < 5 else []
    return [hdu for hdu in every if hdu.name == wanted]


def _is_picture(hdu: Any) -> bool:
    shape: tuple[int, ...] = (getattr(hdu, "shape", None) or ()) if hdu.is_image else ()
    return len(shape) >= 2 and all(shape)


def _contents(hdus: Any) -> str:
    return "it has " + ", ".join(f"{hdu.name or 'unnamed'} ({type(hdu).__name__})" for hdu in list(hdus)[:10])


def _must_be_whole(hdu: Any, size: int) -> None:
    info = hdu.fileinfo()
    needed = info["datLoc"] + _bytes_of(hdu)
    if size < needed:
        raise Undecodable(f"the frame is cut off: it ends at byte {size:,} and needs at least {needed:,}")


def _bytes_of(hdu: Any) -> int:
    """Bytes of the data without their padding, which some writers leave out."""
    padded: int = hdu.fileinfo()["datSpan"]
    return max(0, padded - 2879)


def _must_fit(shape: tuple[int, ...], max_pixels: int | None) -> None:
    if max_pixels is not None and shape[-1] * shape[-2] > max_pixels:
        raise TooLarge(f"the frame has {shape[-1]:,} x {shape[-2]:,} pixels, more than {max_pixels:,}")


def _full_header(hdus: Any, hdu: Any) -> Any:
    """The picture's header, completed by the primary one's: OBSTYPE is often said only there."""
    header = hdu.header.copy()
    header.extend(hdus[0].header, unique=True, update=False)
    return header


def _plane(hdu: Any, look: Look, file: BinaryIO) -> Plane:
    """The plane asked for, read by ourselves where its layout is an ordinary one, else by astropy."""
    *above, rows, columns = hdu.shape
    number = (look.plane or 1) - 1
    at = _indices(above, number)
    ours = plain(hdu, file, number) or tiled(hdu, file, number)
    if ours is not None:
        return ours
    tall = isinstance(hdu, fits.CompImageHDU) and hdu.tile_shape[-2] > BLOCK
    sections = Sections(hdu.section, (rows, columns), at)
    pixel_bytes = max(4, abs(hdu.header["BITPIX"]) // 8)  # of short integers, too: scaled ones are floats
    if tall or (rows * columns * pixel_bytes <= HELD_MOST and not above):
        return Whole(sections.shape, lambda: sections.rows(0, rows))
    return sections


def _indices(above: list[int], number: int) -> tuple[int, ...]:
    """Where the *number*-th picture of a cube is, from 0, the first axis of FITS running fastest."""
    if number >= prod(above):
        raise Undecodable(f"the frame has no plane {number + 1}")
    return tuple(map(int, np.unravel_index(number, above))) if above else ()


def _catalogue(hdus: Any) -> Any:
    """The HDU of the catalogue: its table is read only where frames are aligned by it."""
    for hdu in hdus:
        columns = getattr(hdu, "columns", None)
        if hdu.name == "CAT" and columns is not None and {"x", "y", "flux"} <= set(map(str.lower, columns.names)):
            return hdu
    return None
