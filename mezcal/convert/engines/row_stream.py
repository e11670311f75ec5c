"""Rows of pixels made by Python, as an image that libvips reads from top to bottom.

libvips takes no rows from outside, but reads TIFF from callbacks: so the rows are dressed as an uncompressed
BigTIFF that exists nowhere. Only one strip of it is in memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips

from mezcal.convert.engines import libvips

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")
FORMATS = {
    "uint8": "uchar",
    "int8": "char",
    "uint16": "ushort",
    "int16": "short",
    "uint32": "uint",
    "int32": "int",
    "float32": "float",
    "float64": "double",
}
STRIP_BYTES = 2**18  # of a picture that may be cut anywhere: little enough for a core's cache
ROWS_MIN, ROWS_MAX = 16, 128  # subsampled JPEG counts in sixteens


@dataclass(frozen=True, slots=True)
class Strips:
    """*fetch(i)* is the i-th strip: an array of up to *rows* x *width* x *bands*, of one of `DTYPES`; or what *decode*
    makes one of, in whichever thread.
    """

    width: int
    height: int
    bands: int
    dtype: np.dtype[Any]
    rows: int
    fetch: Callable[[int], Any]
    failures: list[Exception] = field(default_factory=list)  # what *fetch* raised: libvips only sees an end
    decode: Callable[[Any], NDArray[Any]] | None = None

    @property
    def count(self) -> int:
        """Strips in the picture."""
        return -(-self.height // self.rows)

    @property
    def strip_bytes(self) -> int:
        """Bytes of a full strip."""
        return self.rows * self.width * self.bands * self.dtype.itemsize

    def bytes_of(self, place: int) -> int:
        """Bytes of the strip *place*: the last may be shorter."""
        rows = min(self.rows, self.height - place * self.rows)
        return rows * self.width * self.bands * self.dtype.itemsize

    def image(self) -> Any:
        """The lazily read `pyvips.Image`."""
        file = StripsFile(self)
        return libvips.load_from(libvips.reading(file.read, file.seek), "TIFF", unlimited=True)


def of(image: Any) -> Strips:
    """The rows of a `pyvips.Image`, fetched by one thread from top to bottom."""
    dtype = next(np.dtype(name) for name, kind in FORMATS.items() if kind == image.format)
    region = pyvips.Region.new(image)
    width, height, bands = image.width, image.height, image.bands
    rows = rows_of(width * bands * dtype.itemsize, STRIP_BYTES)

    def fetch(place: int) -> NDArray[Any]:
        top = place * rows
        count = min(rows, height - top)
        return np.frombuffer(region.fetch(0, top, width, count), dtype).reshape(count, width, bands)

    return Strips(width, height, bands, dtype, rows, fetch)


def rows_of(row_bytes: int, most: int) -> int:
    """How many rows of *row_bytes* make about *most* bytes, in the sixteens that JPEG counts in."""
    return max(ROWS_MIN, min(ROWS_MAX, most // row_bytes // ROWS_MIN * ROWS_MIN))


class StripsFile:
    """The TIFF that holds *strips*; each strip is made when it is first read and dropped for the next."""

    def __init__(self, strips: Strips) -> None:
        self._strips = strips
        self._head = header(strips)
        last = strips.count - 1
        self._length = len(self._head) + last * strips.strip_bytes + strips.bytes_of(last)
        self._at = 0
        self._held: tuple[int, memoryview] = (-1, memoryview(b""))

    def seek(self, offset: int, whence: int) -> int:
        """As a file's."""
        self._at = offset + {0: 0, 1: self._at, 2: self._length}[whence]
        return self._at

    def read(self, size: int) -> bytes:
        """As a file's; never more than what is left of the strip."""
        if self._at < len(self._head):
            piece: bytes | memoryview = self._head[self._at : self._at + size]
        elif self._at >= self._length:
            return b""
        else:
            place, begin = divmod(self._at - len(self._head), self._strips.strip_bytes)
            piece = self._strip(place)[begin : begin + size]
        self._at += len(piece)
        return bytes(piece)

    def _strip(self, place: int) -> memoryview:
        if self._held[0] != place:
            self._held = (-1, memoryview(b""))
            rows = np.ascontiguousarray(self._fetched(place), self._strips.dtype.newbyteorder("<"))
            self._held = (place, rows.reshape(-1).view("u1").data)
        return self._held[1]

    def _fetched(self, place: int) -> NDArray[Any]:
        try:
            fetched, decode = self._strips.fetch(place), self._strips.decode
            rows: NDArray[Any] = fetched if decode is None else decode(fetched)
            return rows
        except Exception as error:
            self._strips.failures.append(error)
            raise


def header(strips: Strips) -> bytes:
    """The little-endian BigTIFF header, directory and strip table of *strips*."""
    size = len(_layout(strips, 0))
    return _layout(strips, size)


def _layout(strips: Strips, pixels: int) -> bytes:
    bands = strips.bands
    offsets = [pixels + place * strips.strip_bytes for place in range(strips.count)]
    fields: list[tuple[int, str, list[int]]] = [
        (256, "I", [strips.width]),
        (257, "I", [strips.height]),
        (258, "H", [strips.dtype.itemsize * 8] * bands),
        (259, "H", [1]),
        (262, "H", [2 if bands >= 3 else 1]),
        (273, "Q", offsets),
        (277, "H", [bands]),
        (278, "I", [strips.rows]),
        (279, "Q", [strips.bytes_of(place) for place in range(strips.count)]),
        (284, "H", [1]),
        (338, "H", [0] * (bands - (3 if bands >= 3 else 1))),
        (339, "H", [{"u": 1, "i": 2, "f": 3}[strips.dtype.kind]] * bands),
    ]
    fields = [each for each in fields if each[2]]
    free = 16 + 8 + 20 * len(fields) + 8
    directory, tail = b"", b""
    for tag, code, values in fields:
        data = struct.pack(f"<{len(values)}{code}", *values)
        kind = {"H": 3, "I": 4, "Q": 16}[code]
        where = data.ljust(8, b"\0") if len(data) <= 8 else struct.pack("<Q", free + len(tail))
        tail += b"" if len(data) <= 8 else data
        directory += struct.pack("<HHQ", tag, kind, len(values)) + where
    head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(fields))
    return head + directory + bytes(8) + tail
