"""Rows of pixels from Python, as an image that libvips reads from top to bottom.

libvips accepts no rows from Python, but reads TIFF through callbacks. So the callbacks serve the rows as an
uncompressed BigTIFF, of which one strip at a time exists in memory.
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
VIPS_FORMATS = {
    "uint8": "uchar",
    "int8": "char",
    "uint16": "ushort",
    "int16": "short",
    "uint32": "uint",
    "int32": "int",
    "float32": "float",
    "float64": "double",
}
PEAKS = {"uchar": 255.0, "ushort": 65535.0}  # values of full intensity, by libvips' format
STRIP_BYTES = 2**18  # of a picture that may be cut anywhere: fits into a core's cache
ROWS_MIN, ROWS_MAX = 16, 128  # multiples of 16: subsampled JPEG is coded 16 rows at a time


@dataclass(frozen=True, slots=True)
class Strips:
    """A picture in strips of *rows* rows; the last strip may be shorter.

    *fetch(i)* returns the i-th strip, an array of up to *rows* x *width* x *bands* of one of `DTYPES`. If there is a
    *decode*, *fetch* returns coded bytes instead, and *decode* makes the array of them, in any thread.
    """

    width: int
    height: int
    bands: int
    dtype: np.dtype[Any]
    rows: int
    fetch: Callable[[int], Any]
    failures: list[Exception] = field(default_factory=list)  # exceptions of reading: libvips sees only an end of file
    decode: Callable[[Any], NDArray[Any]] | None = None

    @property
    def count(self) -> int:
        """Strips in the picture."""
        return -(-self.height // self.rows)

    @property
    def strip_bytes(self) -> int:
        """Bytes of a full strip."""
        return self.rows * self.width * self.bands * self.dtype.itemsize

    def bytes_of(self, index: int) -> int:
        """Returns the bytes of the strip *index*."""
        rows = min(self.rows, self.height - index * self.rows)
        return rows * self.width * self.bands * self.dtype.itemsize

    def image(self) -> Any:
        """Returns a `pyvips.Image` that fetches the strips as it is read."""
        file = StripsFile(self)
        return libvips.load_from(libvips.source_from(file.read, file.seek), unlimited=True)


def strips_of(image: Any) -> Strips:
    """Returns the strips of a `pyvips.Image`. One thread must fetch them, from top to bottom."""
    dtype = next(np.dtype(name) for name, kind in VIPS_FORMATS.items() if kind == image.format)
    region = pyvips.Region.new(image)
    width, height, bands = image.width, image.height, image.bands
    rows = rows_per_strip(width * bands * dtype.itemsize, STRIP_BYTES)

    def fetch(index: int) -> NDArray[Any]:
        top = index * rows
        count = min(rows, height - top)
        return np.frombuffer(region.fetch(0, top, width, count), dtype).reshape(count, width, bands)

    return Strips(width, height, bands, dtype, rows, fetch)


def rows_per_strip(row_bytes: int, most: int) -> int:
    """Returns how many rows of *row_bytes* make about *most* bytes: a multiple of `ROWS_MIN`."""
    return max(ROWS_MIN, min(ROWS_MAX, most // row_bytes // ROWS_MIN * ROWS_MIN))


class StripsFile:
    """An uncompressed TIFF of *strips*. A strip is fetched when it is first read, and dropped for the next one."""

    def __init__(self, strips: Strips) -> None:
        self._strips = strips
        self._head = header(strips)
        last = strips.count - 1
        self._length = len(self._head) + last * strips.strip_bytes + strips.bytes_of(last)
        self._position = 0
        self._current: tuple[int, memoryview] = (-1, memoryview(b""))

    def seek(self, offset: int, whence: int) -> int:
        """Returns the new position, as a file does."""
        self._position = offset + {0: 0, 1: self._position, 2: self._length}[whence]
        return self._position

    def read(self, size: int) -> bytes:
        """Returns up to *size* bytes, and no more than are left of the strip."""
        try:
            return self._read(size)
        except Exception as error:
            self._strips.failures.append(error)
            raise

    def _read(self, size: int) -> bytes:
        if self._position < len(self._head):
            piece: bytes | memoryview = self._head[self._position : self._position + size]
        elif self._position >= self._length:
            return b""
        else:
            index, start = divmod(self._position - len(self._head), self._strips.strip_bytes)
            piece = self._strip(index)[start : start + size]
        self._position += len(piece)
        return bytes(piece)

    def _strip(self, index: int) -> memoryview:
        if self._current[0] != index:
            self._current = (-1, memoryview(b""))  # two strips would be in memory otherwise
            rows = np.ascontiguousarray(self._fetch(index), self._strips.dtype.newbyteorder("<"))
            self._current = (index, rows.reshape(-1).view("u1").data)
        return self._current[1]

    def _fetch(self, index: int) -> NDArray[Any]:
        fetched, decode = self._strips.fetch(index), self._strips.decode
        rows: NDArray[Any] = fetched if decode is None else decode(fetched)
        return rows


def header(strips: Strips) -> bytes:
    """Returns the little-endian BigTIFF header, directory and strip table of *strips*."""
    size = len(_layout(strips, 0))
    return _layout(strips, size)


def _layout(strips: Strips, pixels: int) -> bytes:
    """Returns the header of a file whose pixels begin at byte *pixels*."""
    bands = strips.bands
    offsets = [pixels + index * strips.strip_bytes for index in range(strips.count)]
    fields: list[tuple[int, str, list[int]]] = [
        (256, "I", [strips.width]),
        (257, "I", [strips.height]),
        (258, "H", [strips.dtype.itemsize * 8] * bands),
        (259, "H", [1]),
        (262, "H", [2 if bands >= 3 else 1]),
        (273, "Q", offsets),
        (277, "H", [bands]),
        (278, "I", [strips.rows]),
        (279, "Q", [strips.bytes_of(index) for index in range(strips.count)]),
        (284, "H", [1]),
        (338, "H", [0] * (bands - (3 if bands >= 3 else 1))),
        (339, "H", [{"u": 1, "i": 2, "f": 3}[strips.dtype.kind]] * bands),
    ]
    fields = [(tag, code, values) for tag, code, values in fields if values]
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
