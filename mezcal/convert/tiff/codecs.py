"""TIFF layouts that libtiff does not read, decoded by tifffile and imagecodecs.

A segment is a strip or a tile, as in tifffile. Only the segments of one row are in memory. The result are samples in
their true bit depth, with palettes looked up and colours unchanged.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import imagecodecs
import numpy as np
import tifffile

from mezcal.convert.engines.decoded import CannotRead, reported
from mezcal.convert.engines.libvips import first_line
from mezcal.convert.engines.row_stream import DTYPES, Strips
from mezcal.convert.tiff import tile_headers
from mezcal.convert.tiff.pages import LABS, PALETTE, RGB, Page
from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader

JPEG, LERC, LERC_PARAMETERS = 7, 34887, 50674
SEGMENT_OVERHEAD = 2**20  # bytes of tables and headers
SEGMENT_MAX = 2**30  # bytes of a decoded strip


def open_strips(master: MasterReader, page: Page) -> Strips:
    """Returns the samples of *page*, a row of strips or tiles at a time. Raises `CannotRead` if tifffile cannot."""
    if page.segment_bytes > SEGMENT_MAX:
        raise TooLarge(f"its strips of {page.segment_bytes:,} bytes would have to be in memory whole")
    segments = open_segments(master, page)
    try:
        first = segments.row(0)
    except CannotRead:
        raise
    except Exception as error:
        raise _cannot_read(error) from error
    return Strips(page.width, page.height, first.shape[2], first.dtype, segments.rows, segments.row)


def stored_bytes_max(page: Page) -> int:
    """Returns the bytes that are read of a segment at most: a compressed one may be larger than its pixels."""
    return page.segment_bytes if page.compression == 1 else 2 * page.segment_bytes + SEGMENT_OVERHEAD


def open_segments(master: MasterReader, page: Page) -> PageSegments:
    """Returns the strips or tiles of *page*, not decoded yet. Raises `CannotRead` if tifffile cannot."""
    try:
        tifffile_page = _tifffile_page(master, page)
        return PageSegments(page, tifffile_page, master, tifffile_page.decode)
    except Exception as error:
        raise _cannot_read(error) from error


def _cannot_read(error: Exception) -> CannotRead:
    if isinstance(error, CannotRead):
        return error
    return CannotRead(reported("tifffile", first_line(f"{type(error).__name__}: {error}")))


def _tifffile_page(master: MasterReader, page: Page) -> Any:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # errors are raised
    master.seek(0)
    pages: Any = tifffile.TiffFile(cast("IO[bytes]", master), name="master").pages
    top = pages[page.directory.index]
    found = top if page.directory.sub is None else top.pages[page.directory.sub]
    if page.compression == JPEG and page.photometric in LABS:
        found.photometric = RGB  # or the JPEG decoder takes the samples for YCbCr
    return found


@dataclass(frozen=True, slots=True)
class PageSegments:
    """The strips or tiles of one page, joined to rows of full width.

    *decode_segment* is tifffile's function for the page. tifffile makes it when it is first asked for, which several
    threads must not do at once.
    """

    page: Page
    tifffile_page: Any
    file: MasterReader
    decode_segment: Callable[..., Any]

    @property
    def rows(self) -> int:
        """Rows of a strip or tile."""
        return self.page.tile[1] if self.page.tile else self.page.strip_rows

    @property
    def _across(self) -> int:
        return -(-self.page.width // self.page.tile[0]) if self.page.tile else 1

    def row(self, index: int) -> NDArray[Any]:
        """Returns the *index*-th row of strips or tiles: height x width x samples."""
        return self.decode(index, self.read(index))

    def read(self, index: int) -> list[tuple[int, bytes]]:
        """Returns number and coded bytes of the strips or tiles of the *index*-th row, plane after plane."""
        planes = self.page.samples if self.page.planar else 1
        per_plane = self._across * -(-self.page.height // self.rows)
        first = index * self._across
        numbers = [plane * per_plane + first + i for plane in range(planes) for i in range(self._across)]
        return [(number, self._read_segment(number)) for number in numbers]

    def decode(self, index: int, coded: list[tuple[int, bytes]]) -> NDArray[Any]:
        """Returns the *index*-th row out of its *coded* segments. Several threads may call this at once."""
        segments = [self._decode_segment(number, data) for number, data in coded]
        across = self._across
        planes = [np.concatenate(segments[at : at + across], axis=1) for at in range(0, len(segments), across)]
        whole = np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0]
        rows = min(self.rows, self.page.height - index * self.rows)
        if whole.shape[0] < rows or whole.shape[1] < self.page.width:
            raise CannotRead(f"the strips or tiles from row {index * self.rows} on are cut")
        return self._plain_samples(whole[:rows, : self.page.width])  # tiles extend beyond the edges

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Returns *size* bytes of the file from *offset* on, fewer at its end."""
        self.file.seek(offset)
        return self.file.read(size)

    def _read_segment(self, number: int) -> bytes:
        offset, size = self.tifffile_page.dataoffsets[number], self.tifffile_page.databytecounts[number]
        size = min(size, stored_bytes_max(self.page), self.page.directory.file.length)  # the declared size may be wrong
        data = self.bytes_at(offset, size)
        self._check_declared_size(data, number)
        return data

    def _decode_segment(self, number: int, data: bytes) -> NDArray[Any]:
        tables = {"jpegtables": self.tifffile_page.jpegtables, "jpegheader": self.tifffile_page.jpegheader}
        array, _, _ = self.decode_segment(data, number, **tables)
        if array is None:
            raise CannotRead(f"strip or tile {number} is empty")
        segment: NDArray[Any] = array[0]
        return segment

    def _check_declared_size(self, data: bytes, number: int) -> None:
        """Raise `CannotRead` if a segment has its own header and this declares no size or one that is too large."""
        compression = self.page.compression
        if compression not in tile_headers.READERS:
            return
        if compression == LERC and self._compressed_twice:
            data = self._inflated(data, number)
        declared = tile_headers.declared_size(compression, data)
        if declared is None:
            raise CannotRead(f"strip or tile {number} does not declare its size")
        width, rows = self.page.tile or (self.page.width, self.page.strip_rows)
        if declared.width > width or declared.height > rows:
            raise CannotRead(f"strip or tile {number} claims {declared.width} x {declared.height} pixels")
        if declared.pixel_bytes > max(self._pixel_bytes, 1):
            raise CannotRead(f"strip or tile {number} claims {declared.pixel_bytes} bytes a pixel")
        if compression in tile_headers.JPEG_2000:
            overhead = tile_headers.jpeg_2000_overhead(data)
            if overhead > tile_headers.JPEG_2000_OVERHEAD_MAX:
                raise CannotRead(f"strip or tile {number} is in pieces that take {overhead // 2**20:,} MB of memory")

    @property
    def _pixel_bytes(self) -> int:
        """Bytes of a decoded pixel of one segment."""
        samples = 1 if self.page.planar else self.page.samples
        return samples * next((size for size in (1, 2, 4) if self.page.depth <= 8 * size), 8)

    def _inflated(self, data: bytes, number: int) -> bytes:
        """Returns LERC data that are compressed again. Raises `CannotRead` if they are larger than a tile can be."""
        most = stored_bytes_max(self.page)
        try:
            if self._compressed_twice == 1:
                inflated = zlib.decompressobj().decompress(data, most + 1)
            else:
                inflated = bytes(imagecodecs.zstd_decode(data, out=most + 1))
        except (zlib.error, imagecodecs.ZstdError) as error:
            raise CannotRead(f"strip or tile {number}: {error}") from error
        if len(inflated) > most:
            raise CannotRead(f"strip or tile {number} has more than {most:,} bytes of LERC data")
        return inflated

    @property
    def _compressed_twice(self) -> int:
        """1 if LERC data are compressed again by deflate, 2 if by Zstandard, else 0."""
        parameters = self.page.directory.values(LERC_PARAMETERS, 16)
        return int(parameters[1]) if len(parameters) > 1 else 0

    def _plain_samples(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Returns *samples* in one of `DTYPES`, with palettes looked up."""
        if self.page.photometric == PALETTE:
            samples = _look_up(samples, self.page)
        if samples.dtype.name in DTYPES:
            return samples
        if samples.dtype == bool:
            return samples.astype("uint8")
        if samples.dtype.itemsize == 8 or samples.dtype.kind == "f":
            with np.errstate(over="ignore"):  # numbers that are too large become infinite, and do not count
                return samples.astype("float32")  # the widest that libtiff reads
        raise CannotRead(f"samples of the type {samples.dtype} have no meaning as colours")


def _look_up(samples: NDArray[Any], page: Page) -> NDArray[Any]:
    """Returns palette indices as 8-bit colours. Further samples (alpha) are kept."""
    table = np.asarray(page.directory.values(320), "uint16").reshape(3, -1).T
    table = (table if table.max(initial=0) < 256 else table >> 8).astype("uint8")
    return np.concatenate([table[samples[..., 0]], samples[..., 1:].astype("uint8")], axis=2)
