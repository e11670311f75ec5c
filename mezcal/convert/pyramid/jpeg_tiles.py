"""JPEG in TIFF: the tables once for all tiles, and tiles without them (Adobe's Technical Note 2, of 1995).

Each tile has some 570 bytes of tables otherwise, as much as the pixels of a plain tile.
"""

from __future__ import annotations

from typing import NamedTuple

START, END = b"\xff\xd8", b"\xff\xd9"
QUANTIZATION, HUFFMAN, SCAN = 0xDB, 0xC4, 0xDA
APPLICATION = range(0xE0, 0xF0)


class CodedTile(NamedTuple):
    """The *tables* as a file of their own, and the *stream* that needs them."""

    tables: bytes
    stream: bytes


def split(data: bytes) -> CodedTile:
    """Returns the baseline JPEG *data* in two parts. Application segments are dropped: the tags of TIFF count."""
    tables, header, position = START, START, 2
    while True:
        marker, size = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        segment, position = bytes(data[position : position + 2 + size]), position + 2 + size
        if marker in (QUANTIZATION, HUFFMAN):
            tables += segment
        elif marker not in APPLICATION:
            header += segment
        if marker == SCAN:
            return CodedTile(tables + END, header + data[position:])
