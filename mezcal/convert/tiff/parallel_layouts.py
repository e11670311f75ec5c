"""Simple TIFF layouts, whose strips or tiles several threads decode at once.

libvips decodes in one thread, which limits the speed of the whole conversion. Here the calling thread only reads, and
each thread decodes the strip that it works on. It is done only for layouts that all decoders read in the same way:
`simple_pages` lists them, tag by tag. All other pages, damaged ones, and those with strips of more than a few
megabytes are left to libvips.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mezcal.convert.engines.decoded import CannotRead, Damaged, reported
from mezcal.convert.engines.row_stream import ROWS_MIN, STRIP_BYTES, Strips, rows_per_strip
from mezcal.convert.pixels.strip_threads import AHEAD, thread_count
from mezcal.convert.tiff import codecs
from mezcal.convert.tiff.simple_pages import DEFLATES, JPEG, UNCOMPRESSED, is_simple

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader
    from mezcal.convert.tiff.codecs import PageSegments
    from mezcal.convert.tiff.pages import Page

STRIP_MAX = 10 * 2**20  # decoded bytes of a strip; several are in memory
STORED_MOST = 2  # times the decoded bytes of a row of strips or tiles
BLOCKS_MAX = 65_535  # between two restart markers
BLOCK = 8  # pixels a side
JPEG_END = b"\xff\xd9"


def memory_needed(page: Page) -> int:
    """Returns the bytes that the strips of *page* in memory take, 0 if several threads cannot decode it."""
    rows = _strip_rows(page) if _is_admitted(page) else 0
    return rows * _row_bytes(page) * (2 * thread_count() + AHEAD)


def open_strips(master: MasterReader, page: Page) -> Strips | None:
    """Returns the samples of *page* in strips that several threads can decode, None if libvips is to decode it."""
    rows = _strip_rows(page) if _is_admitted(page) else 0
    if not rows:
        return None
    try:
        segments = codecs.open_segments(master, page)
    except CannotRead:
        return None
    dtype = np.dtype("uint8" if page.depth == 8 else "uint16")
    layout = UncompressedStrips if _is_uncompressed(page) else CompressedStrips
    source: Any = layout(segments, rows, dtype)
    return Strips(page.width, page.height, page.samples, dtype, rows, source.fetch, decode=source.decode)


def upper_bytes(strips: Strips) -> Strips:
    """Returns the upper eight bits of 16-bit *strips*, as libvips reduces them."""
    decode = strips.decode

    def reduced(coded: Any) -> NDArray[Any]:
        pixels: NDArray[Any] = coded if decode is None else decode(coded)
        return (pixels >> 8).astype("uint8")

    return replace(strips, dtype=np.dtype("uint8"), decode=reduced)


def _is_admitted(page: Page) -> bool:
    """Returns True if *page* is simple, and not stored in much more bytes than its pixels have."""
    return is_simple(page) and page.stored_row_bytes(codecs.stored_bytes_max(page)) <= STORED_MOST * page.row_bytes


def _is_uncompressed(page: Page) -> bool:
    return page.compression == UNCOMPRESSED and page.tile is None


def _row_bytes(page: Page) -> int:
    return page.width * page.samples * page.depth // 8


def _strip_rows(page: Page) -> int:
    """Returns the rows of a strip to work on: whole strips or tiles, a multiple of `ROWS_MIN`. 0 if it is too large."""
    if _is_uncompressed(page):
        rows = rows_per_strip(_row_bytes(page), STRIP_BYTES)
    else:
        step = page.tile[1] if page.tile else page.strip_rows
        if step >= page.height:  # there is one strip
            rows = page.height
        else:
            step = int(np.lcm(step, ROWS_MIN))
            rows = step * max(1, STRIP_BYTES // (step * _row_bytes(page)))
    blocks = -(-page.width // BLOCK) * -(-rows // BLOCK)
    return rows if blocks <= BLOCKS_MAX and rows * _row_bytes(page) <= STRIP_MAX else 0


class UncompressedStrips:
    """Strips of any number of rows, read from a page that is not compressed."""

    def __init__(self, segments: PageSegments, rows: int, dtype: np.dtype[Any]) -> None:
        self._segments, self._rows = segments, rows
        self._stored = dtype.newbyteorder(segments.tifffile_page.parent.byteorder)
        self._dtype = dtype

    def fetch(self, index: int) -> list[bytes]:
        """Returns the bytes of the strip *index*."""
        page, top = self._segments.page, index * self._rows
        offsets = self._segments.tifffile_page.dataoffsets
        end, size, parts = min(top + self._rows, page.height), _row_bytes(page), []
        while top < end:
            stored, skipped = divmod(top, page.strip_rows)
            count = min(page.strip_rows - skipped, end - top)
            parts.append(self._segments.bytes_at(offsets[stored] + skipped * size, count * size))
            top += count
        return parts

    def decode(self, parts: list[bytes]) -> NDArray[Any]:
        """Returns the strip's samples."""
        page = self._segments.page
        flat = np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), self._stored)
        return flat.reshape(-1, page.width, page.samples).astype(self._dtype, copy=False)


class CompressedStrips:
    """Strips made of whole compressed strips, or of whole rows of tiles."""

    def __init__(self, segments: PageSegments, rows: int, dtype: np.dtype[Any]) -> None:
        self._segments, self._dtype = segments, dtype
        self._segment_rows = max(1, -(-rows // segments.rows))  # rows of segments in a strip
        self._count = -(-segments.page.height // segments.rows)

    def fetch(self, index: int) -> list[tuple[int, list[tuple[int, bytes]]]]:
        """Returns the coded strips or tiles of the strip *index*, by their row."""
        first = index * self._segment_rows
        coded = [(row, self._segments.read(row)) for row in range(first, min(first + self._segment_rows, self._count))]
        if self._segments.page.compression == JPEG:
            for _, segments in coded:
                _check_jpeg_ends(segments)
        return coded

    def decode(self, coded: list[tuple[int, list[tuple[int, bytes]]]]) -> NDArray[Any]:
        """Returns the strip's samples."""
        try:
            rows = [self._segments.decode(row, segments) for row, segments in coded]
        except Exception:
            if self._segments.page.compression in DEFLATES:
                for row, segments in coded:
                    for number, data in segments:
                        _check_deflated(number, data, self._bytes_of(row), 2 * self._segments.page.segment_bytes)
            raise
        whole = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return np.ascontiguousarray(whole, self._dtype)

    def _bytes_of(self, row: int) -> int:
        """Returns the bytes of a decoded strip or tile in the *row*-th row; the last strip may be shorter."""
        page = self._segments.page
        rows = min(self._segments.rows, page.height - row * self._segments.rows)
        return page.segment_bytes if page.tile else rows * _row_bytes(page)


def _check_jpeg_ends(segments: list[tuple[int, bytes]]) -> None:
    """Raise `CannotRead` if a segment is cut off: libjpeg makes grey pixels then, and imagecodecs hides its warning."""
    for number, data in segments:
        if not data.rstrip(b"\0").endswith(JPEG_END):
            raise CannotRead(f"strip or tile {number} has no end")


def _check_deflated(number: int, data: bytes, size: int, most: int) -> None:
    """Raise `Damaged` unless *data* is a valid stream of at least *size* and less than *most* bytes.

    libtiff stops reading when it has *size* bytes, and so never checks the checksum.
    """
    stream = zlib.decompressobj()
    try:
        inflated = len(stream.decompress(data, most))
    except zlib.error as error:
        raise Damaged(f"strip or tile {number} is damaged: {reported('zlib', str(error))}") from error
    if inflated > size and not stream.eof:
        raise Damaged(f"strip or tile {number} has no end")


def raising_cannot_read(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns *decode* with all its exceptions as `CannotRead`: another engine may decode the page."""

    def wrapped(coded: Any) -> Any:
        try:
            return decode(coded)
        except (CannotRead, MemoryError):
            raise
        except Exception as error:
            raise CannotRead(f"{type(error).__name__}: {error}") from error

    return wrapped
