"""How much memory a page of a TIFF takes while it is decoded, found in its directory before a decoder reads it.

The figures are peaks of `convert` less those of a small picture; docs/memory.md has what was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.convert.formats import LIBVIPS
from mezcal.convert.tiff import codecs, parallel_layouts, tile_headers

if TYPE_CHECKING:
    from mezcal.convert.master_reader import MasterReader
    from mezcal.convert.tiff.pages import Page

COPIES = 3  # of a row of strips or tiles: tiles of 256 rows and 46 MB a row took 131 MB
TABLE_BYTES = 150  # for each value in the tables of strips or tiles: as Python's numbers, in two pages of tifffile
STORED_COPIES = 1.7  # of a compressed strip or tile as it is stored: libtiff reads it whole, libvips' buffer grows
STORED_MOST = 10  # times its decoded bytes: libtiff reads no more of a strip or tile, `STORED_LEAST` excepted
STORED_LEAST = 2**20
COEFFICIENTS = 2.5  # bytes for each sample of a progressive JPEG
LINE_BY_LINE = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000})  # compressions, as libtiff decodes them
JPEG = 7
DECODER_BYTES = {  # for each sample of a strip or tile, that the decoder takes in addition to its result
    **dict.fromkeys(tile_headers.JPEG_2000, 6),
    **dict.fromkeys((50002, 52546), 9),  # JPEG XL
}


def memory_needed(engine: str, master: MasterReader, page: Page) -> int:
    """Returns the bytes that decoding takes, on top of a small picture's."""
    decoder = _libvips_bytes(master, page) if engine == LIBVIPS else _tifffile_bytes(page)
    return decoder + TABLE_BYTES * page.table_values


def _tifffile_bytes(page: Page) -> int:
    overhead = tile_headers.JPEG_2000_OVERHEAD_MAX if page.compression in tile_headers.JPEG_2000 else 0
    work = DECODER_BYTES.get(page.compression, 0) * page.segment_pixels * page.samples
    return COPIES * page.row_bytes + _stored_excess(page) + work + overhead


def _stored_excess(page: Page) -> int:
    """Returns the bytes that a row of strips or tiles takes in the file beyond its pixels: all are read at once."""
    return max(0, page.stored_row_bytes(codecs.stored_bytes_max(page)) - page.row_bytes)


def _libvips_bytes(master: MasterReader, page: Page) -> int:
    streams = page.tile is None and page.compression in LINE_BY_LINE
    rows = 0 if streams else COPIES * page.row_bytes
    return max(rows + _stored_bytes(page) + _coefficient_bytes(master, page), parallel_layouts.memory_needed(page))


def _stored_bytes(page: Page) -> int:
    """Returns the bytes that the largest compressed strip or tile takes as it is stored."""
    if page.compression == 1:
        return 0
    most = max(STORED_LEAST, STORED_MOST * page.segment_bytes)
    return round(STORED_COPIES * min(page.stored_bytes_max, most))


def _coefficient_bytes(master: MasterReader, page: Page) -> int:
    """Returns the bytes of a progressive JPEG's coefficients, 0 for another page."""
    if page.compression != JPEG or page.segment_bytes <= STORED_LEAST:
        return 0
    master.seek(page.first_segment)
    progressive = tile_headers.is_progressive(master.read(tile_headers.HEAD))
    return round(COEFFICIENTS * page.segment_pixels * page.samples) if progressive else 0
