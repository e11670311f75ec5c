"""The size in the header of a strip or tile, for compressions whose data begin with such a header.

A decoder allocates memory for this size, samples and depth, even if the TIFF declares others. So they are checked
before decoding. A strip or tile whose header cannot be read here is not decoded.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from mezcal.convert.jpeg2000 import codestream

if TYPE_CHECKING:
    from collections.abc import Callable


class Size(NamedTuple):
    """Width, height and bytes a pixel that a decoder allocates, 1 where it takes those of the TIFF."""

    width: int
    height: int
    pixel_bytes: int = 1


HEAD = 65_536  # bytes that are read
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's SOF0 .. SOF15
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG's markers
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
JPEG_XR_SAMPLES = {0: 1, 1: 3, 2: 3, 3: 3, 4: 4, 5: 4, 7: 3, 8: 4}  # by colour format; all others have up to 16
JPEG_XR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 2, 8: 2, 15: 1}  # by bit depth
LERC_BYTES = (1, 1, 2, 2, 4, 4, 4, 8)  # by type of data
ASPECT_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def declared_size(compression: int, data: bytes) -> Size | None:
    """Returns what the header of *data*, of TIFF's *compression*, declares. None if it cannot be read."""
    read = READERS[compression]
    try:
        return read(data)
    except (IndexError, ValueError, KeyError):
        return None


def jpeg_2000_overhead(data: bytes) -> int:
    """Returns the bytes that OpenJPEG takes for the tiles, blocks and precincts of *data*. Raises `CannotRead`."""
    start = data.index(b"\xff\x4f\xff\x51")
    return codestream.read(io.BytesIO(data), start).overhead_bytes


def is_progressive(data: bytes) -> bool:
    """Returns True if the JPEG *data* must be held whole, or if its header cannot be read."""
    try:
        at = _frame_header(data[:HEAD])
    except (IndexError, ValueError):
        return True
    return at is None or data[at - 1] in PROGRESSIVE


def _number(data: bytes, at: int, count: int, order: str = "big") -> int:
    if len(data) < at + count:
        raise ValueError("the header is cut")
    return int.from_bytes(data[at : at + count], "big" if order == "big" else "little")


def _jpeg(data: bytes) -> Size | None:
    at = _frame_header(data[:HEAD])
    return None if at is None else Size(_number(data, at + 5, 2), _number(data, at + 3, 2))


def _frame_header(data: bytes) -> int | None:
    """Returns where the content of the first frame header begins (ITU-T T.81, annex B), None if a scan is before."""
    at = data.index(b"\xff\xd8") + 2
    while True:
        at = data.index(b"\xff", at) + 1
        while data[at] == 0xFF:
            at += 1
        marker, at = data[at], at + 1
        if marker in FRAME_HEADERS:
            return at
        if marker == 0xDA:
            return None
        if marker and marker not in WITHOUT_LENGTH:
            at += _number(data, at, 2)


def _jpeg_2000(data: bytes) -> Size:
    """Reads the codestream's SIZ marker (ISO/IEC 15444-1, annex A), in a JP2 or without one."""
    at = data.index(b"\xff\x4f\xff\x51", 0, HEAD)
    samples = _number(data, at + 40, 2)
    deepest = max(data[at + 42 : at + 42 + 3 * samples : 3], key=lambda depth: depth & 0x7F)
    return Size(_number(data, at + 8, 4), _number(data, at + 12, 4), samples * _bytes((deepest & 0x7F) + 1))


def _bytes(bits: int) -> int:
    """Returns the bytes of a decoded sample of *bits* bits."""
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)


def _png(data: bytes) -> Size | None:
    samples = PNG_SAMPLES[data[25]] * (2 if data[24] == 16 else 1)
    return Size(_number(data, 16, 4), _number(data, 20, 4), samples) if data.startswith(b"\x89PNG") else None


def _webp(data: bytes) -> Size | None:
    """Reads the first chunk of the container (RFC 9649)."""
    if data[12:16] == b"VP8X":
        return Size(_number(data, 24, 3, "little") + 1, _number(data, 27, 3, "little") + 1, 3)
    if data[12:16] == b"VP8L":
        bits = _number(data, 21, 4, "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 3)
    if data[12:16] == b"VP8 ":
        return Size(_number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF, 3)
    return None


def _jpeg_xl(data: bytes) -> Size | None:
    """Reads SizeHeader and ImageMetadata (ISO/IEC 18181-1), in the container's first part or without one.

    None for a picture with a preview or an animation, whose frames would all be decoded.
    """
    data = data[:HEAD]
    if data.startswith(b"\0\0\0\x0cJXL "):
        data = data[data.index(b"\xff\x0a", min(data.find(b"jxl" + letter) % HEAD for letter in (b"c", b"p"))) :]
    if not data.startswith(b"\xff\x0a"):
        return None
    bits = Bits(data[2:66])
    height, width = _jpeg_xl_sides(bits)
    if bits.take(1):  # all else is as by default: eight bits
        return Size(width, height)
    if bits.take(1):
        bits.take(3)  # the orientation
        if bits.take(1):
            _jpeg_xl_sides(bits)  # the size in which it is shown
        if bits.take(1) or bits.take(1):
            return None
    if bits.take(1):
        depth = (32, 16, 24)[choice] if (choice := bits.take(2)) < 3 else bits.take(6) + 1
        bits.take(4)  # bits of the exponent
    else:
        depth = (8, 10, 12)[choice] if (choice := bits.take(2)) < 3 else bits.take(6) + 1
    bits.take(1)
    choice = bits.take(2)
    extra = choice if choice < 2 else bits.take(4) + 2 if choice == 2 else bits.take(12) + 1
    return Size(width, height, (1 + extra) * _bytes(depth))  # one colour, or three: that is far behind in the header


def _jpeg_xl_sides(bits: Bits) -> tuple[int, int]:
    """Returns height and width."""
    small = bits.take(1)
    height = _jpeg_xl_side(bits, small)
    ratio = bits.take(3)
    if ratio:
        return height, height * ASPECT_RATIOS[ratio][0] // ASPECT_RATIOS[ratio][1]
    return height, _jpeg_xl_side(bits, small)


def _jpeg_xl_side(bits: Bits, small: int) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


class Bits:
    """Bits of *data*, counted from the lowest."""

    def __init__(self, data: bytes) -> None:
        self._left, self._bits = 8 * len(data), int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """Returns the next *count* bits as a number. Raises `ValueError` at the end."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the header is cut")
        value, self._bits = self._bits & (1 << count) - 1, self._bits >> count
        return value


def _jpeg_xr(data: bytes) -> Size:
    """Reads IMAGE_HEADER (ITU-T T.832, 8.3)."""
    at = data.index(b"WMPHOTO\0", 0, HEAD)
    flags, output = data[at + 10], data[at + 11]
    wide = 2 if flags & 0x80 else 4
    samples = JPEG_XR_SAMPLES.get(output >> 4, 16) + (flags & 1)
    pixel_bytes = samples * JPEG_XR_BYTES.get(output & 15, 4)
    return Size(_number(data, at + 12, wide) + 1, _number(data, at + 12 + wide, wide) + 1, pixel_bytes)


def _lerc(data: bytes) -> Size | None:
    """Reads the headers of all Lerc2 bands. From version 3 on there is a checksum before the size, and a depth from 4.

    Each band can have the size of the whole tile in a hundred bytes.
    """
    first, pixel_bytes, at = None, 0, 0
    while data.startswith(b"Lerc2 ", at):
        version = _number(data, at + 6, 4, "little")
        fields = at + (14 if version >= 3 else 10)
        depth = _number(data, fields + 8, 4, "little") if version >= 4 else 1
        rest = fields + (12 if version >= 4 else 8)
        kind = _number(data, rest + 12, 4, "little")
        first = first or (_number(data, fields + 4, 4, "little"), _number(data, fields, 4, "little"))
        pixel_bytes += max(depth, 1) * LERC_BYTES[kind]
        at += max(_number(data, rest + 8, 4, "little"), 1)
    return Size(*first, pixel_bytes) if first else None


JPEG_2000 = (33003, 33004, 33005, 34712)
JPEG_2000_OVERHEAD_MAX = 64 * 2**20  # bytes
READERS: dict[int, Callable[[bytes], Size | None]] = {
    **dict.fromkeys((7, 33007, 34892), _jpeg),
    **dict.fromkeys(JPEG_2000, _jpeg_2000),
    34933: _png,
    **dict.fromkeys((34927, 50001), _webp),
    **dict.fromkeys((50002, 52546), _jpeg_xl),
    **dict.fromkeys((22610, 34934), _jpeg_xr),
    34887: _lerc,
}
