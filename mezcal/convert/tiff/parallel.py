"""TIFF layouts so plain that strips or tiles can be decoded by several threads at once.

libvips decodes in one thread, and what it takes then bounds the whole conversion. Here the calling thread only reads;
whoever works on a strip decodes it first. Only where samples mean the same to everybody: what is odd, damaged, or
larger than a few megabytes a strip stays with libvips, which is then asked as if nothing had been tried.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from mezcal.convert.engines.decoded import CannotRead, Damaged
from mezcal.convert.engines.row_stream import ROWS_MIN, STRIP_BYTES, Strips, rows_of
from mezcal.convert.pixels.parallel import AHEAD, threads
from mezcal.convert.tiff import codecs
from mezcal.convert.tiff.pages import BLACK_IS_ZERO, RGB, SEPARATED, YCBCR

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader
    from mezcal.convert.tiff.codecs import CodecStrips
    from mezcal.convert.tiff.pages import Page

NONE, JPEG, DEFLATES = 1, 7, (8, 32946)
COLOURS = {BLACK_IS_ZERO: 1, RGB: 3, SEPARATED: 4}
PREDICTORS = {1, 2}
PIECE_MAX = 10 * 2**20  # bytes of decoded rows that are worked on as one; several are in memory
UNITS_MAX = 65_535  # blocks between two restart markers
UNIT = 8
JPEG_END = b"\xff\xd9"


def is_plain(page: Page) -> bool:
    """Whether *page* may be decoded here."""
    if page.planar or page.sample_format != 1 or len(set(page.depths)) != 1:
        return False
    if page.compression == JPEG:
        return page.depth == UNIT and (page.photometric, page.samples) in {(BLACK_IS_ZERO, 1), (RGB, 3), (YCBCR, 3)}
    known = page.compression == NONE or page.compression in DEFLATES
    plain = page.samples == COLOURS.get(page.photometric) and page.depth in (8, 16)
    return known and plain and page.directory.number(317, 1) in PREDICTORS


def needed(page: Page) -> int:
    """Bytes that the strips of *page* under way take, 0 if they are not decoded here."""
    rows = _rows(page) if is_plain(page) else 0
    return rows * _row_bytes(page) * (2 * threads() + AHEAD)


def strips(master: MasterReader, page: Page) -> Strips | None:
    """The samples of *page* in strips that may be decoded side by side; None where libvips had better do it."""
    rows = _rows(page) if is_plain(page) else 0
    if not rows:
        return None
    try:
        chunks = codecs.opened(master, page)
    except CannotRead:
        return None
    dtype = np.dtype("uint8" if page.depth == UNIT else "uint16")
    source: Any = Bare(chunks, rows, dtype) if _bare(page) else Coded(chunks, rows, dtype)
    return Strips(page.width, page.height, page.samples, dtype, rows, source.fetch, decode=source.decode)


def eight_bits(found: Strips) -> Strips:
    """16-bit *found* as libvips reduces it: the upper eight bits."""
    decode = found.decode

    def reduced(raw: Any) -> NDArray[Any]:
        pixels: NDArray[Any] = raw if decode is None else decode(raw)
        return (pixels >> 8).astype("uint8")

    return Strips(found.width, found.height, found.bands, np.dtype("uint8"), found.rows, found.fetch, decode=reduced)


def _bare(page: Page) -> bool:
    return page.compression == NONE and page.tile is None


def _row_bytes(page: Page) -> int:
    return page.width * page.samples * page.depth // 8


def _rows(page: Page) -> int:
    """Rows of a strip to work on: whole strips or tiles, in sixteens of rows; 0 if that would be too many."""
    if _bare(page):
        rows = rows_of(_row_bytes(page), STRIP_BYTES)
    else:
        step = page.tile[1] if page.tile else page.strip_rows
        if step >= page.height:  # the only one
            rows = page.height
        else:
            step = int(np.lcm(step, ROWS_MIN))
            rows = step * max(1, STRIP_BYTES // (step * _row_bytes(page)))
    units = -(-page.width // UNIT) * -(-rows // UNIT)
    return rows if units <= UNITS_MAX and rows * _row_bytes(page) <= PIECE_MAX else 0


class Bare:
    """Uncompressed strips, cut anew: any rows can be read as they lie."""

    def __init__(self, chunks: CodecStrips, rows: int, dtype: np.dtype[Any]) -> None:
        self._chunks, self._rows = chunks, rows
        self._order = dtype.newbyteorder(chunks.found.parent.byteorder)
        self._dtype = dtype

    def fetch(self, place: int) -> list[bytes]:
        """The bytes of the strip *place*."""
        page, top = self._chunks.page, place * self._rows
        end, size, parts = min(top + self._rows, page.height), _row_bytes(page), []
        while top < end:
            index, within = divmod(top, page.strip_rows)
            count = min(page.strip_rows - within, end - top)
            parts.append(self._chunks.bytes_at(self._chunks.found.dataoffsets[index] + within * size, count * size))
            top += count
        return parts

    def decode(self, parts: list[bytes]) -> NDArray[Any]:
        """The strip's samples."""
        page = self._chunks.page
        flat = np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), self._order)
        return flat.reshape(-1, page.width, page.samples).astype(self._dtype, copy=False)


class Coded:
    """Compressed strips, and tiles: as many rows of them as a strip to work on has."""

    def __init__(self, chunks: CodecStrips, rows: int, dtype: np.dtype[Any]) -> None:
        self._chunks, self._dtype = chunks, dtype
        self._each = max(1, -(-rows // chunks.rows))
        self._count = -(-chunks.page.height // chunks.rows)

    def fetch(self, place: int) -> list[tuple[int, list[tuple[int, bytes]]]]:
        """The coded bytes of the rows of strips or tiles that make the strip *place*."""
        first = place * self._each
        found = [(row, self._chunks.read(row)) for row in range(first, min(first + self._each, self._count))]
        if self._chunks.page.compression == JPEG:
            for _, pieces in found:
                _check_ends(pieces)
        return found

    def decode(self, found: list[tuple[int, list[tuple[int, bytes]]]]) -> NDArray[Any]:
        """The strip's samples."""
        try:
            rows = [self._chunks.decoded(row, pieces) for row, pieces in found]
        except Exception:
            if self._chunks.page.compression in DEFLATES:
                for row, pieces in found:
                    for number, data in pieces:
                        _check_deflated(number, data, self._bytes_of(row), 2 * self._chunks.page.chunk_bytes)
            raise
        whole = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return np.ascontiguousarray(whole, self._dtype)

    def _bytes_of(self, row: int) -> int:
        """Bytes of a decoded strip or tile of the *row*-th row: the last strip may be shorter."""
        page = self._chunks.page
        rows = min(self._chunks.rows, page.height - row * self._chunks.rows)
        return page.chunk_bytes if page.tile else rows * _row_bytes(page)


def _check_ends(pieces: list[tuple[int, bytes]]) -> None:
    """Libjpeg paints grey what is missing at the end, and imagecodecs does not pass its warning on."""
    for index, data in pieces:
        if not data.rstrip(b"\0").endswith(JPEG_END):
            raise CannotRead(f"strip or tile {index} has no end")


def _check_deflated(number: int, data: bytes, size: int, most: int) -> None:
    """`Damaged` unless *data* is a sound stream of *size* bytes, or of more but less than *most*: libtiff stops reading
    when it has enough, and never comes to the checksum.
    """
    stream = zlib.decompressobj()
    try:
        told = len(stream.decompress(data, most))
    except zlib.error as error:
        raise Damaged(f"strip or tile {number}: {error}") from error
    if told > size and not stream.eof:
        raise Damaged(f"strip or tile {number} has no end")


def guarded(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """*work*, whose every complaint is a `CannotRead`: another engine may do better."""

    def tried(raw: Any) -> Any:
        try:
            return work(raw)
        except (CannotRead, MemoryError):
            raise
        except Exception as error:
            raise CannotRead(f"{type(error).__name__}: {error}") from error

    return tried
