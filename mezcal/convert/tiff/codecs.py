"""TIFF layouts that libtiff does not read, decoded strip by strip by tifffile and imagecodecs.

Only the strips or tiles of one row are in memory. What comes out are plain samples: true bit depth, palettes
looked up, colours not touched.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import tifffile

from mezcal.convert.engines.decoded import CannotRead
from mezcal.convert.engines.libvips import first_line
from mezcal.convert.engines.row_stream import DTYPES, Strips
from mezcal.convert.tiff import tile_headers
from mezcal.convert.tiff.pages import PALETTE, Page
from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader

LERC, LERC_PARAMETERS = 34887, 50674
CHUNK_ROOM = 2**20  # bytes for tables and headers
CHUNK_MAX = 2**30  # bytes of a strip that is decoded whole


def strips(master: MasterReader, page: Page) -> Strips:
    """The samples of *page*, a row of chunks at a time; `CannotRead` if tifffile does not know the layout."""
    if page.chunk_bytes > CHUNK_MAX:
        raise TooLarge(f"its strips of {page.chunk_bytes:,} bytes would have to be in memory whole")
    chunks = opened(master, page)
    try:
        first = chunks.row(0)
    except Exception as error:
        raise CannotRead(first_line(f"{type(error).__name__}: {error}")) from error
    return Strips(page.width, page.height, first.shape[2], first.dtype, chunks.rows, chunks.row)


def opened(master: MasterReader, page: Page) -> CodecStrips:
    """The strips or tiles of *page*, none decoded yet; `CannotRead` if tifffile does not know the layout."""
    try:
        chunks = CodecStrips(page, _find(master, page), master)
        chunks.found.decode  # noqa: B018 - made when first looked at, which is no work for several threads
    except Exception as error:
        raise CannotRead(first_line(f"{type(error).__name__}: {error}")) from error
    return chunks


def _find(master: MasterReader, page: Page) -> Any:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what counts is raised
    master.seek(0)
    pages: Any = tifffile.TiffFile(cast("IO[bytes]", master), name="master", _multifile=False).pages
    found = pages[page.directory.index]
    if page.directory.sub is not None:
        found = found.pages[page.directory.sub]
    return found


@dataclass
class CodecStrips:
    """Strips or tiles of one page, put together to rows of full width."""

    page: Page
    found: Any
    file: MasterReader
    held: tuple[int, NDArray[Any]] | None = None

    @property
    def rows(self) -> int:
        """Rows of a strip or tile."""
        return self.page.tile[1] if self.page.tile else self.page.strip_rows

    @property
    def _across(self) -> int:
        return -(-self.page.width // self.page.tile[0]) if self.page.tile else 1

    @property
    def _bytes_max(self) -> int:
        """Bytes of a chunk in the file; a compressed one may be larger than its pixels, but not by much."""
        return self.page.chunk_bytes if self.page.compression == 1 else 2 * self.page.chunk_bytes + CHUNK_ROOM

    def row(self, place: int) -> NDArray[Any]:
        """The *place*-th row of strips or tiles: height x width x samples."""
        return self.decoded(place, self.read(place))

    def read(self, place: int) -> list[tuple[int, bytes]]:
        """The coded strips or tiles of the *place*-th row by their numbers, plane after plane."""
        planes = self.page.samples if self.page.planar else 1
        per_plane = self._across * -(-self.page.height // self.rows)
        first = place * self._across
        numbers = [plane * per_plane + first + i for plane in range(planes) for i in range(self._across)]
        return [(number, self._coded(number)) for number in numbers]

    def decoded(self, place: int, pieces: list[tuple[int, bytes]]) -> NDArray[Any]:
        """The *place*-th row out of its *pieces*; several threads may do that at once."""
        chunks = [self._decoded(number, data) for number, data in pieces]
        across = self._across
        wide = [np.concatenate(chunks[at : at + across], axis=1) for at in range(0, len(chunks), across)]
        whole = np.concatenate(wide, axis=2) if len(wide) > 1 else wide[0]
        rows = min(self.rows, self.page.height - place * self.rows)
        if whole.shape[0] < rows or whole.shape[1] < self.page.width:
            raise CannotRead(f"the strips or tiles from row {place * self.rows} on are cut")
        return self._plain(whole[:rows, : self.page.width])  # tiles reach over the edges

    def bytes_at(self, offset: int, size: int) -> bytes:
        """*size* bytes of the file from *offset* on, fewer at its end."""
        self.file.seek(offset)
        data = bytearray()
        while len(data) < size and (piece := self.file.read(size - len(data))):
            data += piece
        return bytes(data)

    def _coded(self, index: int) -> bytes:
        offset, size = self.found.dataoffsets[index], self.found.databytecounts[index]
        size = min(size, self._bytes_max, self.page.directory.reader.length)  # a count is a claim like any other
        data = self.bytes_at(offset, size)
        self._check_inner(data[: tile_headers.HEAD], index)
        return data

    def _decoded(self, index: int, data: bytes) -> NDArray[Any]:
        tables = {"jpegtables": self.found.jpegtables, "jpegheader": self.found.jpegheader}
        array, _, _ = self.found.decode(data, index, **tables)
        if array is None:
            raise CannotRead(f"strip or tile {index} is empty")
        chunk: NDArray[Any] = array[0]
        return chunk

    def _check_inner(self, data: bytes, index: int) -> None:
        """`CannotRead` if a chunk that is a picture of its own claims to be larger than its place, or hides it."""
        compression = self.page.compression
        if compression not in tile_headers.READERS or (compression == LERC and self._packed):
            return
        claimed = tile_headers.size(compression, data)
        if claimed is None:
            raise CannotRead(f"strip or tile {index} does not tell its size")
        width, rows = self.page.tile or (self.page.width, self.page.strip_rows)
        if claimed[0] > width or claimed[1] > rows:
            raise CannotRead(f"strip or tile {index} claims {claimed[0]} x {claimed[1]} pixels")

    @property
    def _packed(self) -> bool:
        """Whether LERC's data are deflated or Zstandard's once more: then their header cannot be seen."""
        parameters = self.page.directory.values(LERC_PARAMETERS, 16)
        return len(parameters) > 1 and parameters[1] != 0

    def _plain(self, samples: NDArray[Any]) -> NDArray[Any]:
        if self.page.photometric == PALETTE:
            samples = _looked_up(samples, self.page)
        if samples.dtype.name in DTYPES:
            return samples
        if samples.dtype == bool:
            return samples.astype("uint8")
        if samples.dtype.itemsize == 8 or samples.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and is no part of the range
                return samples.astype("float32")  # the widest that libtiff passes on as it is
        raise CannotRead(f"samples of the type {samples.dtype} have no meaning as colours")


def _looked_up(samples: NDArray[Any], page: Page) -> NDArray[Any]:
    """Palette indices as 8-bit colours, further samples (alpha) kept."""
    flat = np.asarray(page.directory.values(320), "uint16")
    table = flat.reshape(3, -1).T
    table = (table if table.max(initial=0) < 256 else table >> 8).astype("uint8")
    if int(samples[..., 0].max(initial=0)) >= len(table):
        raise CannotRead("an index is beyond the palette")
    return np.concatenate([table[samples[..., 0]], samples[..., 1:].astype("uint8")], axis=2)
