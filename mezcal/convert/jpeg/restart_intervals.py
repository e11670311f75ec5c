"""One baseline JPEG from several that were encoded separately (ITU-T T.81, B.2 and F.1).

Each strip of the picture becomes a restart interval. The coder starts from its initial state there, so the coded
pixels of each strip can be copied unchanged, with a marker between two strips. The tables and the size are written
once, before the first strip.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

START, END = b"\xff\xd8", b"\xff\xd9"
TABLES, FRAME, SCAN = 0xDB, 0xC0, 0xDA
APPLICATION = range(0xE0, 0xF0)
RESTARTS = 8  # different markers, used in rotation


@dataclass(frozen=True, slots=True)
class EncodedStrip:
    """The header of a JPEG, which all strips have in common, and its coded pixels."""

    header: bytes
    pixels: memoryview


def split_jpeg(data: bytes, height: int, interval: int) -> EncodedStrip:
    """Returns the JPEG *data* as a strip of a picture of *height* rows, with restart intervals of *interval* units.

    0 is no intervals. Application segments are dropped: they are written once, too.
    """
    header, position = b"", 2
    while True:
        marker, size = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        segment, position = data[position : position + 2 + size], position + 2 + size
        if marker == FRAME:
            segment = segment[:5] + height.to_bytes(2) + segment[7:]
        if marker == SCAN:
            restarts = struct.pack(">HHH", 0xFFDD, 4, interval) if interval else b""
            return EncodedStrip(header + restarts + segment, memoryview(data)[position:-2])
        if marker not in APPLICATION:
            header += segment


def restart_marker(index: int) -> bytes:
    """Returns the marker before the interval *index*, counted from 0. The first has none."""
    return bytes((0xFF, 0xD0 + (index - 1) % RESTARTS)) if index else b""


def metadata_segments(data: bytes) -> bytes:
    """Returns the segments before the tables of the JPEG *data*: profile and metadata."""
    position = 2
    while data[position + 1] != TABLES:
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return data[2:position]
