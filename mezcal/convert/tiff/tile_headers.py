"""The size in the header of a strip or tile, for compressions whose data begin with such a header.

A decoder allocates memory for this size, even if the TIFF declares another one. So it is checked before decoding. A
strip or tile whose header cannot be read here is not decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Size = tuple[int, int]

HEAD = 65_536  # bytes that are read
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's SOF0 .. SOF15
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG's markers
ASPECT_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def declared_size(compression: int, data: bytes) -> Size | None:
    """Returns width and height in the header of *data*, of TIFF's *compression*. None if they cannot be read."""
    read = READERS[compression]
    try:
        return read(data[:HEAD])
    except (IndexError, ValueError):
        return None


def _number(data: bytes, at: int, count: int, order: str = "big") -> int:
    if len(data) < at + count:
        raise ValueError("the header is cut")
    return int.from_bytes(data[at : at + count], "big" if order == "big" else "little")


def _jpeg(data: bytes) -> Size | None:
    """Reads the first frame header (ITU-T T.81, annex B)."""
    at = data.index(b"\xff\xd8") + 2
    while True:
        at = data.index(b"\xff", at) + 1
        while data[at] == 0xFF:
            at += 1
        marker, at = data[at], at + 1
        if marker in FRAME_HEADERS:
            return _number(data, at + 5, 2), _number(data, at + 3, 2)
        if marker == 0xDA:
            return None
        if marker and marker not in WITHOUT_LENGTH:
            at += _number(data, at, 2)


def _jpeg_2000(data: bytes) -> Size:
    """Reads the codestream's SIZ marker (ISO/IEC 15444-1, annex A), in a JP2 or without one."""
    at = data.index(b"\xff\x4f\xff\x51")
    return _number(data, at + 8, 4), _number(data, at + 12, 4)


def _png(data: bytes) -> Size | None:
    return (_number(data, 16, 4), _number(data, 20, 4)) if data.startswith(b"\x89PNG") else None


def _webp(data: bytes) -> Size | None:
    """Reads the first chunk of the container (RFC 9649)."""
    if data[12:16] == b"VP8X":
        return _number(data, 24, 3, "little") + 1, _number(data, 27, 3, "little") + 1
    if data[12:16] == b"VP8L":
        bits = _number(data, 21, 4, "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8 ":
        return _number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF
    return None


def _jpeg_xl(data: bytes) -> Size | None:
    """Reads the SizeHeader (ISO/IEC 18181-1), whose bits are counted from the lowest, in the container's first part."""
    if data.startswith(b"\0\0\0\x0cJXL "):
        data = data[data.index(b"\xff\x0a", min(data.find(b"jxl" + letter) % HEAD for letter in (b"c", b"p"))) :]
    if not data.startswith(b"\xff\x0a"):
        return None
    bits = _number(data, 2, 12, "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & (1 << count) - 1, bits >> count
        return value

    small = take(1)
    height = (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1
    ratio = take(3)
    if ratio:
        return height * ASPECT_RATIOS[ratio][0] // ASPECT_RATIOS[ratio][1], height
    return ((take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1), height


def _jpeg_xr(data: bytes) -> Size:
    """Reads IMAGE_HEADER (ITU-T T.832, 8.3)."""
    at = data.index(b"WMPHOTO\0")
    wide = 2 if data[at + 10] & 0x80 else 4
    return _number(data, at + 12, wide) + 1, _number(data, at + 12 + wide, wide) + 1


def _lerc(data: bytes) -> Size | None:
    """Reads a Lerc2 header. From version 3 on there is a checksum before the size."""
    if not data.startswith(b"Lerc2 "):
        return None
    at = 14 if _number(data, 6, 4, "little") >= 3 else 10
    return _number(data, at + 4, 4, "little"), _number(data, at, 4, "little")


READERS: dict[int, Callable[[bytes], Size | None]] = {
    **dict.fromkeys((7, 33007, 34892), _jpeg),
    **dict.fromkeys((33003, 33004, 33005, 34712), _jpeg_2000),
    34933: _png,
    **dict.fromkeys((34927, 50001), _webp),
    **dict.fromkeys((50002, 52546), _jpeg_xl),
    **dict.fromkeys((22610, 34934), _jpeg_xr),
    34887: _lerc,
}
