"""FITS files as frames: a header, and a plane of pixels."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tempfile
import warnings
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from astropy.io import fits

from mezcal.convert.fits.read.hdu_list import open_hdus
from mezcal.convert.fits.read.hdus import check_complete, check_pixels, choose_picture, pictures
from mezcal.convert.fits.read.mosaic import Mosaic, is_part, parts_of_one_detector
from mezcal.convert.fits.read.plane_readers import first_with_data, open_plane
from mezcal.convert.fits.read.tiles.tile_table import TILE_MEMORY, tile_count
from mezcal.errors import NotAnImage, OutOfMemory, StoreDown, TooLarge, Undecodable, is_disk_full, is_out_of_memory
from mezcal.runtime import memory_budget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.fits.read.hdu_list import HduList
    from mezcal.convert.fits.read.mosaic import PlacedPart
    from mezcal.convert.fits.read.planes import Plane
    from mezcal.recipe import ThumbnailOptions

FRAME_ERRORS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, ArithmeticError),
    *(zlib.error, fits.VerifyError),
)
CFITSIO_ERROR = "CfitsioException"  # raised by astropy's decoders: an Exception of a private module
GZIP = b"\x1f\x8b"
CATALOGUE_MAX = 16 * 2**20  # bytes, that are held together
INFLATED_MAX = 8 * 2**30  # bytes: a compressed file may hold a thousand times its size


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The picture's header. Cards that it lacks are taken from the primary one: OBSTYPE is often only there."""

    own: Any  # astropy's Header, which has no types
    primary: Any

    def __contains__(self, name: str) -> bool:
        return name in self.own or name in self.primary

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of a card, *default* if there is none or if it cannot be parsed."""
        try:
            return (self.own if name in self.own else self.primary).get(name, default)
        except fits.VerifyError:
            return default

    def merged(self) -> Any:
        """Returns both in one. With hundreds of cards this takes as long as reading them."""
        header = self.own.copy()
        header.extend(self.primary, unique=True, update=False)
        return header


@dataclass(frozen=True, slots=True)
class FitsFrame:
    """One open frame. HDUs after the picture are read only if they are needed: that may take longer than drawing."""

    plane: Plane
    header: FrameHeader
    hdus: HduList
    table_bytes: int = 0  # memory for the tables of tiles

    @property
    def header_bytes(self) -> int:
        """Bytes that headers and tables of tiles take."""
        return self.hdus.memory + self.table_bytes

    def catalogue(self) -> Any:
        """Returns the table of the frame's sources. None if the pipeline wrote none, or one that is too large."""
        for hdu in self.hdus:
            columns = getattr(hdu, "columns", None)  # an image has none
            if hdu.name != "CAT" or columns is None or hdu.size > CATALOGUE_MAX:
                continue
            if {"x", "y", "flux"} <= set(map(str.lower, columns.names)):
                return hdu.data
        return None


@contextmanager
def frame_errors_as_undecodable() -> Iterator[None]:
    """Raise what astropy raises about a file as `Undecodable`. Its warnings about headers are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            if not isinstance(error, FRAME_ERRORS) and type(error).__name__ != CFITSIO_ERROR:
                raise
            if is_disk_full(error):  # frames are unpacked and scaled on our disk: the frame is not damaged
                raise StoreDown("the frame cannot be unpacked: the scratch folder's disk is full") from error
            reason = " ".join(str(error).split())[:200] or "no reason was given"
            if is_out_of_memory(error):
                raise OutOfMemory(f"the frame could not be read ({type(error).__name__}: {reason})") from error
            raise Undecodable(f"the frame cannot be read ({type(error).__name__}: {reason})") from error


@contextmanager
def open_frame(file: BinaryIO, options: ThumbnailOptions, context: ConversionContext) -> Iterator[FitsFrame]:
    """Yields the frame in *file*. Raises `NotAnImage`, `Undecodable` with the reason, or `TooLarge`."""
    with ExitStack() as stack:
        fits_file = stack.enter_context(_inflated(file, context.scratch))
        hdus = stack.enter_context(open_hdus(fits_file))
        file_size = fits_file.seek(0, io.SEEK_END)
        picture = choose_picture(hdus, options)
        placed = _detector_parts(hdus, picture, options)
        parts = [part.hdu for part in placed] or [picture]
        for hdu in parts:
            check_complete(hdu, file_size)
            check_pixels(hdu.shape, context.options.max_pixels)
        table_bytes = _reserve_tables(parts, context)
        reserve = partial(_reserve_pixels, context, hdus.memory + table_bytes)
        number = first_with_data(picture, fits_file, reserve) if options.plane is None else options.plane - 1
        planes = [open_plane(part, fits_file, number) for part in parts]
        plane = Mosaic.of(placed, planes, reserve) if placed else planes[0]
        check_pixels(plane.shape, context.options.max_pixels)
        yield FitsFrame(plane, FrameHeader(picture.header, hdus.primary.header), hdus, table_bytes)


def _reserve_tables(parts: list[Any], context: ConversionContext) -> int:
    """Reserve the memory for the tables of tiles, which are read before the pixels. Returns its bytes."""
    compressed = [hdu for hdu in parts if isinstance(hdu, fits.CompImageHDU)]
    size = TILE_MEMORY * sum(map(tile_count, compressed))
    if size > memory_budget.SMALL:  # less fits into what every conversion may take
        context.reserve_memory(memory_budget.SMALL + size)
    return size


def _reserve_pixels(context: ConversionContext, header_bytes: int, size: int) -> None:
    """Reserve *size* bytes for pixels that are read before the frame is drawn."""
    context.reserve_memory(max(memory_budget.STREAMING, memory_budget.SMALL + header_bytes + size))


def _detector_parts(hdus: HduList, picture: Any, options: ThumbnailOptions) -> list[PlacedPart]:
    """Returns the HDUs that show one detector together with *picture*, an empty list if there are none."""
    if options.hdu or options.look == "lco" or not is_part(picture):
        return []
    similar = [hdu for hdu in pictures(hdus) if picture.name != "SCI" or hdu.name == "SCI"]  # no masks and errors
    return parts_of_one_detector(similar)


@contextmanager
def _inflated(file: BinaryIO, scratch: Path | None) -> Iterator[BinaryIO]:
    """Yields *file*, or its content if it is gzip: in a scratch file, because FITS is not read from start to end."""
    start = file.read(9)
    file.seek(0)
    if start[:2] != GZIP:
        _check_is_fits(start)
        yield file
        return
    with tempfile.TemporaryFile(dir=scratch) as whole:
        with gzip.open(file) as inflating:
            shutil.copyfileobj(cast("BinaryIO", _BoundedReader(inflating)), whole, 2**20)
        whole.seek(0)
        _check_is_fits(whole.read(9))
        with open(os.dup(whole.fileno()), "rb") as reading:  # noqa: PTH123 - astropy wants a file opened for reading
            reading.seek(0)
            yield reading


def _check_is_fits(start: bytes) -> None:
    if not start.startswith(b"SIMPLE"):
        raise NotAnImage("the frame is no FITS file: it does not begin with SIMPLE")


class _BoundedReader:
    def __init__(self, file: Any) -> None:
        self._file, self._left = file, INFLATED_MAX

    def read(self, size: int) -> bytes:
        piece: bytes = self._file.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge(f"the frame inflates to more than {INFLATED_MAX:,} bytes")
        return piece
