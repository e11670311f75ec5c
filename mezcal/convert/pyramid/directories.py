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


@dataclass(frozen=True, slots=True, order=True)
class Field:
    """One tag: its number, its type, how many values it has, and their bytes."""

    tag: int
    kind: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Directory:
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


class HeaderWriter:
    """Places directories, then their values, then the tables of tiles, from the smallest picture to the largest."""

    def __init__(self, *, big: bool) -> None:
        self._big = big
        self._inline = 8 if big else 4
        self._data = bytearray()
        self._places: dict[bytes, int] = {}  # of values, which several directories may share

    def header(self, directories: list[Directory]) -> bytes:
        """Returns the header of the file and *directories*, which follow each other in it."""
        start = 16 if self._big else 8
        head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if self._big else struct.pack("<2sHI", b"II", 42, start)
        self._data = bytearray(head)
        lists = [self._fields(directory) for directory in directories]
        starts = [start]
        for fields in lists:
            starts.append(starts[-1] + self._size(len(fields)))
        self._data.extend(bytes(starts[-1] - start))
        tables = [self._placed_small(directory, fields) for directory, fields in zip(directories, lists, strict=True)]
        for at in reversed(range(len(directories))):
            self._write(starts[at], self._with_tables(tables[at]), 0 if at + 1 == len(lists) else starts[at + 1])
        return bytes(self._data)

    def _fields(self, directory: Directory) -> list[Field]:
        """Returns the fields of *directory*, with its tables of tiles."""
        count = len(directory.offsets)
        offsets = struct.pack(f"<{count}{'Q' if self._big else 'I'}", *directory.offsets)
        tables = [
            Field(OFFSETS, LONG8 if self._big else LONG, count, offsets),
            Field(COUNTS, LONG, count, struct.pack(f"<{count}I", *directory.counts)),
        ]
        links = [longs(tag, 0) for tag in directory.subdirectories]
        return sorted([*directory.fields, *tables, *links])

    def _size(self, fields: int) -> int:
        """Returns the bytes of a directory with that many fields."""
        return 8 + 20 * fields + 8 if self._big else 2 + 12 * fields + 4

    def _placed_small(self, directory: Directory, fields: list[Field]) -> list[tuple[Field, bytes]]:
        """Returns *fields* with what is written into the directory for each: its values, or where they are."""
        links = {tag: self._subdirectory(below) for tag, below in directory.subdirectories.items()}
        return [
            (one, struct.pack("<I", links[one.tag]) if one.tag in links else self._value(one))
            if one.tag not in (OFFSETS, COUNTS)
            else (one, b"")
            for one in fields
        ]

    def _subdirectory(self, fields: list[Field]) -> int:
        fields = sorted(fields)
        start = self._append(bytes(self._size(len(fields))))
        self._write(start, [(one, self._value(one)) for one in fields], 0)
        return start

    def _with_tables(self, placed: list[tuple[Field, bytes]]) -> list[tuple[Field, bytes]]:
        """Returns *placed* with the tables of tiles placed, too."""
        return [(one, value or self._value(one, share=False)) for one, value in placed]

    def _value(self, one: Field, *, share: bool = True) -> bytes:
        if len(one.data) <= self._inline:
            return one.data.ljust(self._inline, b"\0")
        known = self._places.get(one.data) if share else None
        place = self._append(one.data) if known is None else known
        if share:
            self._places[one.data] = place
        return struct.pack("<Q" if self._big else "<I", place)

    def _append(self, data: bytes) -> int:
        """Returns where *data* has been placed: at an even offset (TIFF 6.0)."""
        self._data.extend(bytes(len(self._data) % 2))
        place = len(self._data)
        self._data.extend(data)
        return place

    def _write(self, start: int, fields: list[tuple[Field, bytes]], following: int) -> None:
        entry, link = ("<HHQ", "<Q") if self._big else ("<HHI", "<I")
        raw = struct.pack("<Q" if self._big else "<H", len(fields))
        for one, value in fields:
            raw += struct.pack(entry, one.tag, one.kind, one.count) + value.ljust(self._inline, b"\0")
        raw += struct.pack(link, following)
        self._data[start : start + len(raw)] = raw


def header_size(directories: list[Directory]) -> int:
    """Returns the most bytes that the header of *directories* takes, whatever their offsets are."""
    return len(HeaderWriter(big=True).header(directories))
