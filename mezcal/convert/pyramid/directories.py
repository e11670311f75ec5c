"""The directories of a little-endian TIFF or BigTIFF, as bytes: all of them at the beginning of the file.

A reader over HTTP knows the whole file after its first request then. The number of tiles is known before any is coded,
so the space for the directories can be reserved, and written last.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction

SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16  # types of fields
CLASSIC_MAX = 2**32 - 1  # bytes of a file with offsets of 32 bits
OFFSETS, COUNTS = 324, 325  # the tables of tiles
SHORT_MAX = 600  # bytes of a value that follows its directory: the tables of JPEG are the longest


@dataclass(frozen=True, slots=True, order=True)
class Field:
    """One tag: its number, its type, how many values it has, and their bytes."""

    tag: int
    kind: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PictureDirectory:
    """One picture: its *fields*, where its tiles begin, how long they are, and directories that its tags lead to."""

    fields: list[Field]
    offsets: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    subdirectories: dict[int, list[Field]] = field(default_factory=dict)


def shorts(tag: int, *values: int) -> Field:
    """Returns a field of 16-bit numbers."""
    return Field(tag, SHORT, len(values), struct.pack(f"<{len(values)}H", *values))


def longs(tag: int, *values: int) -> Field:
    """Returns a field of 32-bit numbers."""
    return Field(tag, LONG, len(values), struct.pack(f"<{len(values)}I", *values))


def rationals(tag: int, *values: float) -> Field:
    """Returns a field of fractions, each of two 32-bit numbers."""
    pairs = [Fraction(value).limit_denominator(10_000) for value in values]
    return Field(
        tag, RATIONAL, len(values), b"".join(struct.pack("<II", pair.numerator, pair.denominator) for pair in pairs)
    )


@dataclass(frozen=True, slots=True)
class Placed:
    """A directory at byte *start*: its fields, and by tag what it holds of each: the values, or where they are."""

    start: int
    fields: list[Field]
    entries: dict[int, bytes]


class HeaderWriter:
    """Makes the header of one file.

    Each directory is followed by its short values, so a reader that asks for a kilobyte where a directory begins gets
    them, too. Long values come behind all directories: those that several directories share once, then the tables of
    tiles, from the smallest picture to the largest.
    """

    def __init__(self, *, big: bool) -> None:
        self._big = big
        self._inline = 8 if big else 4
        self._data = bytearray()
        self._shared: dict[bytes, int] = {}

    def header(self, directories: list[PictureDirectory]) -> bytes:
        """Returns the bytes before the tiles, with *directories* in their order."""
        start = 16 if self._big else 8
        head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if self._big else struct.pack("<2sHI", b"II", 42, start)
        self._data = bytearray(head)
        placed = [self._place(directory) for directory in directories]
        for one in placed:
            self._place_long(one, [field for field in one.fields if field.tag not in (OFFSETS, COUNTS)])
        for one in reversed(placed):
            self._place_long(one, one.fields)
        following = [one.start for one in placed[1:]] + [0]
        for one, link in zip(placed, following, strict=True):
            self._write(one, link)
        return bytes(self._data)

    def _fields(self, directory: PictureDirectory) -> list[Field]:
        """Returns the fields of *directory*, with its tables of tiles."""
        count = len(directory.offsets)
        offsets = struct.pack(f"<{count}{'Q' if self._big else 'I'}", *directory.offsets)
        tables = [
            Field(OFFSETS, LONG8 if self._big else LONG, count, offsets),
            Field(COUNTS, LONG, count, struct.pack(f"<{count}I", *directory.counts)),
        ]
        return [*directory.fields, *tables]

    def _place(self, directory: PictureDirectory) -> Placed:
        """Returns *directory* with its short values behind it, and with the directories that its tags lead to."""
        links = [longs(tag, 0) for tag in directory.subdirectories]
        placed = self._place_short([*self._fields(directory), *links])
        for tag, fields in directory.subdirectories.items():
            below = self._place_short(fields)
            self._place_long(below, below.fields)
            self._write(below, 0)
            placed.entries[tag] = struct.pack("<I", below.start)
        return placed

    def _place_short(self, fields: list[Field]) -> Placed:
        fields = sorted(fields)
        start = self._append(bytes(self._size(len(fields))))
        placed = Placed(start, fields, {})
        for one in fields:
            if len(one.data) <= self._inline:
                placed.entries[one.tag] = one.data
            elif len(one.data) <= SHORT_MAX:
                placed.entries[one.tag] = self._offset(self._append(one.data))
        return placed

    def _place_long(self, placed: Placed, fields: list[Field]) -> None:
        """Place the values of *fields* that have no place yet."""
        for one in fields:
            if one.tag in placed.entries:
                continue
            place = self._shared.get(one.data)
            if place is None or one.tag in (OFFSETS, COUNTS):  # equal tables are chance: the header's size is known
                place = self._append(one.data)
            self._shared[one.data] = place
            placed.entries[one.tag] = self._offset(place)

    def _size(self, fields: int) -> int:
        """Returns the bytes of a directory with that many fields."""
        return 8 + 20 * fields + 8 if self._big else 2 + 12 * fields + 4

    def _offset(self, place: int) -> bytes:
        return struct.pack("<Q" if self._big else "<I", place)

    def _append(self, data: bytes) -> int:
        """Returns where *data* has been placed: at an even offset (TIFF 6.0)."""
        self._data.extend(bytes(len(self._data) % 2))
        place = len(self._data)
        self._data.extend(data)
        return place

    def _write(self, placed: Placed, following: int) -> None:
        """Write the entries of the directory. *following* is where the next one begins, 0 if there is none."""
        raw = struct.pack("<Q" if self._big else "<H", len(placed.fields))
        for one in placed.fields:
            raw += struct.pack("<HHQ" if self._big else "<HHI", one.tag, one.kind, one.count)
            raw += placed.entries[one.tag].ljust(self._inline, b"\0")
        raw += self._offset(following)
        self._data[placed.start : placed.start + len(raw)] = raw


def header_size(directories: list[PictureDirectory]) -> int:
    """Returns the most bytes that the header of *directories* takes, whatever their offsets are."""
    return len(HeaderWriter(big=True).header(directories))
