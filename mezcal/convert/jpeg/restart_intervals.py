"""One baseline JPEG out of several that were encoded apart (ITU-T T.81, B.2 and F.1).

Each strip of the picture becomes a restart interval: the coder begins anew there, so what was coded apart stands
as it is, with a marker between it and the next. Tables and sizes are said once, before the first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

START, END = b"\xff\xd8", b"\xff\xd9"
TABLES, FRAME, SCAN = 0xDB, 0xC0, 0xDA
APPLICATION = range(0xE0, 0xF0)
RESTARTS = 8  # markers take turns


@dataclass(frozen=True, slots=True)
class EncodedStrip:
    """A JPEG taken apart: the header that it has in common with the others, and its coded pixels."""

    header: bytes
    pixels: memoryview


def piece(data: bytes, height: int, interval: int) -> EncodedStrip:
    """The JPEG *data* as a part of a picture of *height* rows, in restart intervals of *interval* units if not 0.

    Its application segments are dropped: they are said once, too.
    """
    kept, at = b"", 2
    while True:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        segment, at = data[at : at + 2 + size], at + 2 + size
        if marker == FRAME:
            segment = segment[:5] + height.to_bytes(2) + segment[7:]
        if marker == SCAN:
            restarts = struct.pack(">HHH", 0xFFDD, 4, interval) if interval else b""
            return EncodedStrip(kept + restarts + segment, memoryview(data)[at:-2])
        if marker not in APPLICATION:
            kept += segment


def restart(place: int) -> bytes:
    """The marker before the interval *place*, counted from 0, which has none."""
    return bytes((0xFF, 0xD0 + (place - 1) % RESTARTS)) if place else b""


def notes(data: bytes) -> bytes:
    """The segments that the JPEG *data* begins with, before its tables: profile and metadata."""
    at = 2
    while data[at + 1] != TABLES:
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return data[2:at]
