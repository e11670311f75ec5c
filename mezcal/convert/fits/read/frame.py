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
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.read.mosaic import Mosaic, is_part, quadrants
from mezcal.convert.fits.read.planes import BLOCK, HELD_MOST, Plane, Sections, Whole
from mezcal.convert.fits.read.tile_table import tiled
from mezcal.convert.fits.read.uncompressed import plain
from mezcal.errors import NotAnImage, StoreDown, TooLarge, Undecodable, is_disk_full

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mezcal.convert.context import ConversionContext
    from mezcal.recipe import ThumbnailOptions

FAULTS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, ArithmeticError),
    *(zlib.error, fits.VerifyError),
)
CFITSIO = "CfitsioException"  # what astropy's decoders raise: an Exception of a private module
GZIP = b"\x1f\x8b"
INFLATED_MOST = 8 * 2**30  # bytes: a compressed file may hold a thousand times its size


@dataclass(frozen=True, slots=True)
class Cards:
    """The picture's header, completed by the primary one's: OBSTYPE is often said only there."""

    own: Any  # astropy's Header, which is untyped
    primary: Any

    def __contains__(self, name: str) -> bool:
        return name in self.own or name in self.primary

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a card."""
        return (self.own if name in self.own else self.primary).get(name, default)

    def whole(self) -> Any:
        """Both in one: for hundreds of cards that takes as long as to read them."""
        header = self.own.copy()
        header.extend(self.primary, unique=True, update=False)
        return header


@dataclass(frozen=True, slots=True)
class FitsFrame:
    """One open frame. HDUs behind the picture are not read unless they are asked for: that may take longer than to
    draw it.
    """

    plane: Plane
    header: Cards
    hdus: Any  # astropy's, read as they are looked at

    def catalogue(self) -> Any:
        """The table of the frame's sources; None where the pipeline left none."""
        for hdu in self.hdus:
            columns = getattr(hdu, "columns", None)  # an image has none
            if hdu.name == "CAT" and columns is not None and {"x", "y", "flux"} <= set(map(str.lower, columns.names)):
                return hdu.data
        return None


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
            if is_disk_full(error):  # of our own disk, on which frames are unpacked and scaled: no fault of theirs
                raise StoreDown("the frame cannot be unpacked: the scratch folder's disk is full") from error
            told = " ".join(str(error).split())[:200] or "no reason was given"
            raise Undecodable(f"the frame cannot be read ({type(error).__name__}: {told})") from error


@contextmanager
def opened(file: BinaryIO, look: ThumbnailOptions, context: ConversionContext) -> Iterator[FitsFrame]:
    """The frame in *file*; raises `NotAnImage`, `Undecodable` with the reason, or `TooLarge`."""
    with ExitStack() as stack:
        whole = stack.enter_context(_inflated(file, context.scratch))
        hdus = stack.enter_context(closing(fits.open(whole, mode="readonly", memmap=False, lazy_load_hdus=True)))
        size = whole.seek(0, io.SEEK_END)
        yield _frame(hdus, look, whole, size, context.options.max_pixels)


@contextmanager
def _inflated(file: BinaryIO, scratch: Path | None) -> Iterator[BinaryIO]:
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


def _frame(hdus: Any, look: ThumbnailOptions, file: BinaryIO, size: int, max_pixels: int | None) -> FitsFrame:
    picture = _picture(hdus, look)
    parts = [] if look.hdu or look.look == "lco" or not is_part(picture) else quadrants(_likes(hdus, picture))
    for hdu in parts or [picture]:
        _must_be_whole(hdu, size)
        _must_fit(hdu.shape, max_pixels)
    header = Cards(picture.header, hdus[0].header)
    if parts:
        mosaic = Mosaic.of([(_plane(part, look, file), part.header) for part in parts])
        _must_fit(mosaic.shape, max_pixels)
        return FitsFrame(mosaic, header, hdus)
    return FitsFrame(_plane(picture, look, file), header, hdus)


def _picture(hdus: Any, look: ThumbnailOptions) -> Any:
    """The HDU to show: the first one that is wished for, else the first one that can be."""
    first = None
    for hdu in _pictures(hdus, look.hdu):
        first = hdu if first is None else first
        if len(hdu.shape) == 2 if look.look == "lco" else hdu.name == "SCI":
            return hdu
    if first is None:
        asked = f"HDU {look.hdu!r} of the frame" if look.hdu else "the frame"
        raise Undecodable(f"{asked} holds no picture: {_contents(hdus)}")
    return first


def _likes(hdus: Any, picture: Any) -> list[Any]:
    """The HDUs that may be parts of what *picture* is a part of: masks and errors are not."""
    return [hdu for hdu in _pictures(hdus, None) if picture.name != "SCI" or hdu.name == "SCI"]


def _pictures(hdus: Any, wanted: str | None) -> Iterator[Any]:
    """The HDUs that may be shown, in their order."""
    return (hdu for hdu in _named(hdus, wanted) if _is_picture(hdu))


def _named(hdus: Any, wanted: str | None) -> Iterable[Any]:
    if wanted is None:
        return hdus  # type: ignore[no-any-return]  # a list of astropy's, which is untyped
    if wanted.isdigit():
        return islice(hdus, int(wanted), int(wanted) + 1) if len(wanted) < 5 else []
    return (hdu for hdu in hdus if hdu.name == wanted)


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


def _plane(hdu: Any, look: ThumbnailOptions, file: BinaryIO) -> Plane:
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
