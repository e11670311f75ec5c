"""FITS files as frames: a header, and a plane of pixels."""

from __future__ import annotations

import io
import warnings
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from astropy.io import fits

from mezcal.convert.fits.coordinates import FrameCoordinates
from mezcal.convert.fits.read.chip_mosaic import Chip, join_chips, mosaic_header
from mezcal.convert.fits.read.file.hdu_list import open_hdus
from mezcal.convert.fits.read.file.inflate import inflated
from mezcal.convert.fits.read.hdus import ABOUT_PIXELS, check_complete, check_pixels, choose_picture, is_named, pictures
from mezcal.convert.fits.read.layout import Layout
from mezcal.convert.fits.read.mosaic import Mosaic, is_part, parts_of_one_detector
from mezcal.convert.fits.read.plane_readers import colour_planes, first_with_data, open_plane
from mezcal.convert.fits.read.tiles.tile_table import TILE_MEMORY, tile_count
from mezcal.errors import NoSuchSection, OutOfMemory, StoreDown, Undecodable, is_disk_full, is_out_of_memory
from mezcal.runtime import memory_budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.fits.read.file.hdu_list import HduList
    from mezcal.convert.fits.read.mosaic import PlacedPart
    from mezcal.convert.fits.read.planes import Plane
    from mezcal.recipe import ThumbnailOptions

FRAME_ERRORS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, ArithmeticError),
    *(zlib.error, fits.VerifyError),
)
CFITSIO_ERROR = "CfitsioException"  # raised by astropy's decoders: an Exception of a private module
BYTES = 8  # of BITPIX
CATALOGUE_MAX = 16 * 2**20  # bytes, that are held together


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The picture's header. Cards that it lacks are taken from the primary one: OBSTYPE is often only there."""

    own: Any  # astropy's Header, which has no types
    primary: Any

    def __contains__(self, name: str) -> bool:
        return name in self.own or name in self.primary

    def __len__(self) -> int:
        """Returns how many cards both have."""
        return len(self.own) + (0 if self.own is self.primary else len(self.primary))

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of a card, *default* if there is none or if it cannot be parsed."""
        try:
            return (self.own if name in self.own else self.primary).get(name, default)
        except fits.VerifyError:
            return default

    def merged(self) -> Any:
        """Returns both in one. With hundreds of cards this takes as long as reading them."""
        if self.own is self.primary:
            return self.own.copy()
        others = (card for card in self.primary.cards if card.keyword not in self.own)
        return fits.Header([*self.own.cards, *others], copy=True)  # to extend one takes the square of its cards


@dataclass(frozen=True, slots=True)
class FitsFrame:
    """One open frame. HDUs after the picture are read only if they are needed: that may take longer than drawing.

    *colours* are its red, green and blue plane if it has them and is drawn alone; *plane* is the first one then.
    """

    plane: Plane
    header: FrameHeader
    hdus: HduList
    table_bytes: int = 0  # memory for the tables of tiles
    colours: tuple[Plane, ...] = ()
    compression: str | None = None  # by FITS's name, if its tiles are compressed

    @property
    def header_bytes(self) -> int:
        """Bytes that headers and tables of tiles take."""
        return self.hdus.memory + self.table_bytes

    @property
    def is_finished(self) -> bool:
        """True if its colours are bytes: they were made to be looked at, and are no counts of light."""
        return bool(self.colours) and self.header.own["BITPIX"] == BYTES

    def of_each_colour(self) -> list[FitsFrame]:
        """Returns a frame for each of its colours, only itself if it has none."""
        return [replace(self, plane=plane) for plane in self.colours] or [self]

    def catalogue(self) -> Any:
        """Returns the table of the frame's sources. None if the pipeline wrote none, or one that is too large."""
        for hdu in self.hdus:
            columns = getattr(hdu, "columns", None)  # an image has none
            if not is_named(hdu, "CAT") or columns is None or hdu.size > CATALOGUE_MAX:
                continue
            if {"x", "y", "flux"} <= set(map(str.lower, columns.names)):
                return hdu.data
        return None


def _is_ours(error: Exception) -> bool:
    """Return True for a `KeyError` that code of ours raised itself: then the frame is not at fault."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return isinstance(error, KeyError) and module.startswith("mezcal.")


@contextmanager
def frame_errors_as_undecodable() -> Iterator[None]:
    """Raise what astropy raises about a file as `Undecodable`. Its warnings about headers are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            known = isinstance(error, FRAME_ERRORS) or type(error).__name__ == CFITSIO_ERROR
            if not known or _is_ours(error):
                raise
            if is_disk_full(error):  # frames are unpacked and scaled on our disk: the frame is not damaged
                raise StoreDown("the frame cannot be unpacked: the scratch folder's disk is full") from error
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            if is_out_of_memory(error):
                raise OutOfMemory(f"the frame could not be read ({reason})") from error
            detail = f"the frame cannot be read: it is damaged, or does not follow the FITS standard ({reason})"
            raise Undecodable(detail) from error


@contextmanager
def open_frame(file: BinaryIO, options: ThumbnailOptions, context: ConversionContext) -> Iterator[FitsFrame]:
    """Yields the frame in *file*. Raises `NotAnImage`, `Undecodable` with the reason, or `TooLarge`."""
    with ExitStack() as stack:
        fits_file = stack.enter_context(inflated(file, context.scratch))
        hdus = stack.enter_context(open_hdus(fits_file))
        file_size = fits_file.seek(0, io.SEEK_END)
        picture = choose_picture(hdus, options)
        placed = _detector_parts(hdus, picture, options)
        parts = [part.hdu for part in placed] or [picture]
        for hdu in parts:
            check_complete(hdu, file_size)
            check_pixels(Layout.of(hdu).plane_shape, context.options.max_pixels)
        table_bytes = _reserve_tables(parts, context)
        reserve = partial(_reserve_pixels, context, hdus.memory + table_bytes)
        alone = options.plane is None and not (options.color or options.mosaic)
        colours = colour_planes(picture, fits_file, reserve) if alone else ()
        plane = colours[0] if colours else _plane(parts, placed, fits_file, options, reserve)
        own = plane.parts[0].header if isinstance(plane, Mosaic) else picture.header
        header = FrameHeader(own, hdus.primary.header)
        if options.mosaic and not placed:
            plane, header, table_bytes = _mosaic(hdus, picture, fits_file, options, context)
        check_pixels(plane.shape, context.options.max_pixels)
        yield FitsFrame(plane, header, hdus, table_bytes, colours, getattr(picture, "compression_type", None))


def _plane(
    parts: list[Any],
    placed: list[PlacedPart],
    file: BinaryIO,
    options: ThumbnailOptions,
    reserve: Callable[[int], None],
) -> Plane:
    """Returns the plane asked for, else the first one with data. If there are *placed* parts, it is their mosaic."""
    number = first_with_data(parts[0], file, reserve) if options.plane is None else options.plane - 1
    planes = [open_plane(part, file, number) for part in parts]
    return Mosaic.of(placed, planes, reserve) if placed else planes[0]


def _mosaic(
    hdus: HduList, picture: Any, file: BinaryIO, options: ThumbnailOptions, context: ConversionContext
) -> tuple[Plane, FrameHeader, int]:
    """Returns the chips that show light as *picture* does, put together by their sky coordinates.

    Also returns their header, and the bytes of their tables of tiles. Raises `NoSuchSection` if they have no
    coordinates, `TooLarge` if one of them has too many pixels.
    """
    in_sci = is_named(picture, "SCI")
    found = [hdu for hdu in pictures(hdus, options.hdu) if len(hdu.shape) == 2 and _is_like(hdu, in_sci=in_sci)]
    if not found:
        raise NoSuchSection("mosaic=true puts pictures of two dimensions together, and the frame has none")
    file_size = file.seek(0, io.SEEK_END)
    for hdu in found:
        check_complete(hdu, file_size)
        check_pixels(Layout.of(hdu).plane_shape, context.options.max_pixels)
    table_bytes = _reserve_tables(found, context)
    chips = []
    for hdu in found:
        plane = open_plane(hdu, file, 0)
        merged = FrameHeader(hdu.header, hdus.primary.header).merged()
        chips.append(Chip(plane, FrameCoordinates.of(merged, plane.shape)))
    mosaic = join_chips(chips)
    header = mosaic_header(mosaic, FrameHeader(picture.header, hdus.primary.header))
    return mosaic, FrameHeader(header, header), table_bytes


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
    in_sci = is_named(picture, "SCI")
    parts = [hdu for hdu in pictures(hdus) if is_part(hdu)]
    return parts_of_one_detector([hdu for hdu in parts if _is_like(hdu, in_sci=in_sci)])


def _is_like(hdu: Any, *, in_sci: bool) -> bool:
    """Returns True if *hdu* shows light as the picture does: the masks of amplifiers have a DETSEC, too."""
    return is_named(hdu, "SCI") if in_sci else not is_named(hdu, *ABOUT_PIXELS)
