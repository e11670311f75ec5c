"""The directories of a TIFF, read and checked before any decoder reads the file.

No number in a file can be trusted: offsets form loops, counts are too large, types are wrong. A decoder that trusts
them makes a wrong picture. Here they are checked against the file's size first. Sources: TIFF 6.0, Adobe's Technical
Note 1 (sub-IFDs) and the BigTIFF draft.
"""

from __future__ import annotations

import bisect
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIRECTORIES_MAX = 10_000  # no real file has as many pages; a hostile one may have no end
ENTRIES_MAX = 4_096
ENTRIES_SUM_MAX = 200_000  # of all directories: some 50 MB as objects
ELEMENTS_MAX = 16_000_000  # offsets of one page: 128 MB of BigTIFF, tiles of 16 x 16 in a 4-gigapixel page
BLOB_MAX = 16 * 2**20  # bytes of one profile or metadata packet; real profiles are under 4 MB
SUB_DIRECTORIES_MAX = 64
WHOLE_END = 2**64  # the end of all integers that a TIFF can hold

SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
CODES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
TABLE_KINDS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
CODES |= {16: "Q", 17: "q", 18: "Q", 5: "I", 10: "i"}  # rationals are pairs


class BadTiff(Exception):
    """The header contradicts itself or the file. The message is the reason, as the client reads it."""


@dataclass(frozen=True, slots=True)
class TagEntry:
    """One tag: its type, the number of its values, and their offset in the file. *place* is where the entry is."""

    kind: int
    count: int
    offset: int
    place: int = 0

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return SIZES.get(self.kind, 0) * self.count


@dataclass(frozen=True, slots=True)
class TiffFile:
    """The file, its length in bytes, its byte order (as in `struct`), and whether it is a BigTIFF."""

    file: BinaryIO
    length: int
    order: str
    big: bool

    def bytes(self, offset: int, size: int) -> bytes:
        """Returns *size* bytes from *offset* on. Raises `BadTiff` if the file ends before."""
        if offset < 0 or size < 0 or offset + size > self.length:
            raise BadTiff(f"{size} bytes at {offset} lie beyond the file's end at {self.length}")
        self.file.seek(offset)
        data = bytearray()
        while len(data) < size and (piece := self.file.read(size - len(data))):
            data += piece
        if len(data) < size:
            raise BadTiff(f"the file ends at {offset + len(data)}, before its declared content")
        return bytes(data)

    def numbers(self, code: str, offset: int) -> tuple[int, ...]:
        """Returns values that are stored in the `struct` format *code*."""
        return struct.unpack(self.order + code, self.bytes(offset, struct.calcsize(self.order + code)))


@dataclass(frozen=True)
class Directory:
    """One IFD. *index* counts pages from 0. *sub* counts the sub-IFDs of that page, None for the page itself.

    *next_offset* is where the next page begins, 0 if this is the last one, and is stored at *link_place*. *repeated*
    are entries of tags that stand in *entries* already.
    """

    file: TiffFile
    index: int
    sub: int | None
    entries: dict[int, TagEntry] = field(repr=False)
    next_offset: int = 0
    link_place: int = 0
    repeated: tuple[TagEntry, ...] = field(default=(), repr=False)

    def values(self, tag: int, limit: int = ELEMENTS_MAX) -> tuple[float, ...]:
        """Returns the tag's numbers, rationals as quotients. Empty if it is missing or of no numeric type."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in CODES or entry.count == 0:
            return ()
        pair = 2 if entry.kind in (5, 10) else 1
        if entry.count > limit:
            raise BadTiff(f"tag {tag} has {entry.count} values")
        raw = self.file.numbers(f"{entry.count * pair}{CODES[entry.kind]}", entry.offset)
        if pair == 1:
            return raw
        return tuple(top / bottom if bottom else 0.0 for top, bottom in zip(raw[::2], raw[1::2], strict=True))

    def table(self, tag: int) -> NDArray[Any]:
        """Returns the tag's whole numbers, of which there may be millions. Empty if it is missing or has others."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in TABLE_KINDS:
            return np.zeros(0, "u8")
        if entry.count > ELEMENTS_MAX:
            raise BadTiff(f"tag {tag} has {entry.count} values")
        stored = np.frombuffer(self.file.bytes(entry.offset, entry.size), self.file.order + TABLE_KINDS[entry.kind])
        return stored.astype("u8")  # negative numbers become too large ones

    def number(self, tag: int, default: int) -> int:
        """Returns the tag's first value, *default* if it is missing or of no numeric type.

        Raises `BadTiff` if it is no whole number.
        """
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in CODES or entry.count == 0:
            return default
        return _whole(tag, self.file.numbers(CODES[entry.kind], entry.offset)[0])

    def hint(self, tag: int, default: int) -> int:
        """Returns the tag's first value, *default* if it cannot be read: for tags that no decoder needs."""
        try:
            return self.number(tag, default)
        except BadTiff:
            return default

    def hints(self, tag: int, limit: int) -> tuple[float, ...]:
        """Returns the tag's numbers, none if they cannot be read: for tags that no decoder needs."""
        try:
            return self.values(tag, limit)
        except BadTiff:
            return ()

    def whole_values(self, tag: int, limit: int = ELEMENTS_MAX) -> tuple[int, ...]:
        """Returns the tag's numbers as `values` does. Raises `BadTiff` if one is no whole number."""
        return tuple(_whole(tag, value) for value in self.values(tag, limit))

    def blob(self, tag: int) -> bytes | None:
        """Returns the tag's bytes. None if it is missing, beyond the file's end, or larger than `BLOB_MAX`."""
        entry = self.entries.get(tag)
        if entry is None or not 0 < entry.size <= BLOB_MAX:
            return None
        try:
            return self.file.bytes(entry.offset, entry.size)
        except BadTiff:
            return None


def _whole(tag: int, value: float) -> int:
    """Returns *value* as an integer. Raises `BadTiff` for fractions, NaN, and numbers of more than 64 bits."""
    if not (abs(value) < WHOLE_END and value == int(value)):
        raise BadTiff(f"tag {tag} has the value {value:g}, which is no whole number of 64 bits")
    return int(value)


@dataclass(frozen=True, slots=True)
class Directories:
    """All pages, each followed by its sub-IFDs. *broken* tells why the link to a further page leads nowhere."""

    found: list[Directory]
    broken: str | None = None


def read_directories(file: BinaryIO) -> Directories:
    """Returns all pages that can be reached. Raises `BadTiff` if there is none but smaller copies."""
    tiff, offset = _open(file)
    found: list[Directory] = []
    seen: set[int] = set()
    reader = DirectoryReader(tiff)
    broken = None
    for index in range(DIRECTORIES_MAX):
        if offset == 0 or offset in seen:
            break
        seen.add(offset)
        try:
            page = _page_at(reader, offset, index)
        except BadTiff as error:
            if all(page.hint(254, 0) & 1 for page in found):
                raise
            broken = str(error)  # some writers leave garbage after the last page
            break
        found.append(page)
        found += _children(reader, page, seen)
        offset = page.next_offset
    if not found:
        raise BadTiff("it has no image directory")
    return Directories(found, broken)


def _page_at(reader: DirectoryReader, offset: int, index: int) -> Directory:
    length = reader.file.length
    if offset >= length:
        raise BadTiff(f"directory {index + 1} at {offset} lies beyond the file's end at {length}")
    return reader.read(offset, index, None)


def directory_at(file: TiffFile, offset: int) -> Directory:
    """Returns the directory at *offset*, which is no page: EXIF's, for example."""
    return DirectoryReader(file).read(offset, 0, None)


def _open(file: BinaryIO) -> tuple[TiffFile, int]:
    """Returns the file and the offset of its first page."""
    length = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise BadTiff("the header is cut")
    big = head[2:4] in (b"\x2b\0", b"\0\x2b")
    tiff = TiffFile(file, length, order, big)
    return tiff, tiff.numbers("Q" if big else "I", 8 if big else 4)[0]


class DirectoryReader:
    """Reads the directories of one file, each byte once, so that a small file cannot hold millions of entries."""

    def __init__(self, file: TiffFile) -> None:
        self.file = file
        self._places: list[tuple[int, int]] = []  # where the directories read so far begin and end, sorted
        self._entries = 0

    def read(self, offset: int, index: int, sub: int | None) -> Directory:
        """Returns the directory at *offset*. Raises `BadTiff`, or `TooLarge` for too many entries in all."""
        file = self.file
        width = 20 if file.big else 12
        (count,) = file.numbers("Q" if file.big else "H", offset)
        if not 0 < count <= ENTRIES_MAX:
            raise BadTiff(f"the directory at {offset} has {count} entries")
        start = offset + (8 if file.big else 2)
        end = start + count * width
        self._take(offset, end, count)
        entries, repeated = _entries(file, file.bytes(start, count * width), start, width)
        try:
            (next_offset,) = file.numbers("Q" if file.big else "I", end)
        except BadTiff:
            next_offset = 0  # some writers leave the last link out
        return Directory(file, index, sub, entries, next_offset, end, repeated)

    def _take(self, start: int, end: int, count: int) -> None:
        """Record a directory. Raise `BadTiff` if it overlaps another one, `TooLarge` if there are too many entries."""
        at = bisect.bisect(self._places, (start, end))
        if any(start < other[1] and other[0] < end for other in self._places[max(at - 1, 0) : at + 1]):
            raise BadTiff(f"the directory at {start} overlaps another one")
        self._places.insert(at, (start, end))
        self._entries += count
        if self._entries > ENTRIES_SUM_MAX:
            raise TooLarge(
                f"the first {len(self._places):,} directories of this TIFF have {self._entries:,} tags, and "
                f"{ENTRIES_SUM_MAX:,} are allowed in all: split it into files of fewer pages"
            )


def _entries(file: TiffFile, table: bytes, start: int, width: int) -> tuple[dict[int, TagEntry], tuple[TagEntry, ...]]:
    """Returns the first entry of each tag in *table*, which is stored at *start*; then all others."""
    entries: dict[int, TagEntry] = {}
    repeated = []
    for at in range(0, len(table), width):
        tag, entry = _entry(file, table[at : at + width], start + at)
        if entries.setdefault(tag, entry) is not entry:  # all decoders take the first
            repeated.append(entry)
    return entries, tuple(repeated)


def _entry(file: TiffFile, raw: bytes, offset: int) -> tuple[int, TagEntry]:
    """Returns the tag in the directory entry *raw*, which is stored at *offset*. Short values are stored inside it."""
    tag, kind, count = struct.unpack(file.order + ("HHQ" if file.big else "HHI"), raw[: 12 if file.big else 8])
    inline = 8 if file.big else 4
    values_offset = offset + len(raw) - inline
    if SIZES.get(kind, 0) * count > inline:
        (values_offset,) = struct.unpack(file.order + ("Q" if file.big else "I"), raw[-inline:])
    return tag, TagEntry(kind, count, values_offset, offset)


def _children(reader: DirectoryReader, page: Directory, seen: set[int]) -> list[Directory]:
    """Returns the sub-IFDs of *page* (tag 330) that can be read."""
    found = []
    try:
        offsets = page.whole_values(330, SUB_DIRECTORIES_MAX)
    except BadTiff:
        return []
    for sub, offset in enumerate(offsets):
        if offset in seen:
            continue
        seen.add(offset)
        try:
            found.append(reader.read(offset, page.index, sub))
        except BadTiff:
            continue
    return found
