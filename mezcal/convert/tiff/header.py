"""What a TIFF says of itself, read with bounds before any decoder sees it.

Every number in a file is a claim: offsets loop, counts lie, types are wrong. A decoder that believes them
makes a wrong picture; here they are checked against the file's size first. TIFF 6.0, Adobe's Technical Note 1
(sub-IFDs) and the BigTIFF draft.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

DIRECTORIES_MAX = 10_000  # no real file has as many pages; a hostile one has for ever
ENTRIES_MAX = 4_096
ELEMENTS_MAX = 16_000_000  # offsets of one page: 128 MB of BigTIFF, tiles of 16 x 16 in a 4-gigapixel page
BLOB_MAX = 16 * 2**20  # bytes of one profile or metadata packet; real profiles are under 4 MB
SUB_DIRECTORIES_MAX = 64

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
CODES |= {16: "Q", 17: "q", 18: "Q", 5: "I", 10: "i"}  # rationals are pairs


class BadTiff(Exception):
    """The header contradicts itself or the file; the message is the reason, for people."""


@dataclass(frozen=True, slots=True)
class TagEntry:
    """One tag: its type, how many values, and where in the file they lie."""

    kind: int
    count: int
    at: int

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return SIZES.get(self.kind, 0) * self.count


@dataclass(frozen=True, slots=True)
class Reader:
    """The file with its byte order and offset width."""

    file: BinaryIO
    length: int
    order: str
    big: bool

    def bytes(self, at: int, size: int) -> bytes:
        """Exactly *size* bytes from *at*; `BadTiff` where the file ends before."""
        if at < 0 or size < 0 or at + size > self.length:
            raise BadTiff(f"{size} bytes at {at} lie beyond the file's end at {self.length}")
        self.file.seek(at)
        data = bytearray()
        while len(data) < size and (piece := self.file.read(size - len(data))):
            data += piece
        if len(data) < size:
            raise BadTiff(f"the file ends at {at + len(data)}, before its declared content")
        return bytes(data)

    def numbers(self, code: str, at: int) -> tuple[int, ...]:
        """Values packed as the `struct` format *code*."""
        return struct.unpack(self.order + code, self.bytes(at, struct.calcsize(self.order + code)))


@dataclass(frozen=True)
class Directory:
    """One IFD. *index* counts top-level pages from 0; *sub* is the place in its page's sub-IFDs, or None."""

    reader: Reader
    index: int
    sub: int | None
    entries: dict[int, TagEntry] = field(repr=False)
    following: int = 0

    def values(self, tag: int, limit: int = ELEMENTS_MAX) -> tuple[float, ...]:
        """The tag's numbers, rationals as quotients; empty if it is missing or of no numeric type."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in CODES or entry.count == 0:
            return ()
        pair = 2 if entry.kind in (5, 10) else 1
        if entry.count > limit:
            raise BadTiff(f"tag {tag} has {entry.count} values")
        raw = self.reader.numbers(f"{entry.count * pair}{CODES[entry.kind]}", entry.at)
        if pair == 1:
            return raw
        return tuple(top / bottom if bottom else 0.0 for top, bottom in zip(raw[::2], raw[1::2], strict=True))

    def number(self, tag: int, default: int) -> int:
        """The tag's first value as a whole number."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in CODES or entry.count == 0:
            return default
        return int(self.reader.numbers(CODES[entry.kind], entry.at)[0])

    def blob(self, tag: int) -> bytes | None:
        """The tag's bytes as they are, None if missing or beyond all reason."""
        entry = self.entries.get(tag)
        if entry is None or not 0 < entry.size <= BLOB_MAX:
            return None
        try:
            return self.reader.bytes(entry.at, entry.size)
        except BadTiff:
            return None


def directories(file: BinaryIO) -> list[Directory]:
    """All pages, and the sub-IFDs right below each; `BadTiff` if not even the first can be read."""
    reader, at = _start(file)
    found: list[Directory] = []
    seen: set[int] = set()
    for index in range(DIRECTORIES_MAX):
        if at == 0 or at in seen:
            break
        seen.add(at)
        if at >= reader.length:
            raise BadTiff(f"directory {index + 1} at {at} lies beyond the file's end at {reader.length}")
        try:
            page = _directory(reader, at, index, None)
        except BadTiff:
            if all(page.number(254, 0) & 1 for page in found):
                raise
            break  # what follows the pages that can be read is no page
        found.append(page)
        found += _children(page, seen)
        at = page.following
    if not found:
        raise BadTiff("it has no image directory")
    return found


def directory_at(reader: Reader, at: int) -> Directory:
    """The directory at *at* that is no page, such as EXIF's."""
    return _directory(reader, at, 0, None)


def _start(file: BinaryIO) -> tuple[Reader, int]:
    length = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise BadTiff("the header is cut")
    big = head[2:4] in (b"\x2b\0", b"\0\x2b")
    reader = Reader(file, length, order, big)
    return reader, reader.numbers("Q" if big else "I", 8 if big else 4)[0]


def _directory(reader: Reader, at: int, index: int, sub: int | None) -> Directory:
    width = 20 if reader.big else 12
    (count,) = reader.numbers("Q" if reader.big else "H", at)
    if not 0 < count <= ENTRIES_MAX:
        raise BadTiff(f"the directory at {at} has {count} entries")
    at += 8 if reader.big else 2
    table = reader.bytes(at, count * width)
    entries = dict(_entry(reader, table[i * width : (i + 1) * width], at + i * width) for i in range(count))
    try:
        (following,) = reader.numbers("Q" if reader.big else "I", at + count * width)
    except BadTiff:
        following = 0  # some writers leave the last link out
    return Directory(reader, index, sub, entries, following)


def _entry(reader: Reader, raw: bytes, at: int) -> tuple[int, TagEntry]:
    tag, kind, count = struct.unpack(reader.order + ("HHQ" if reader.big else "HHI"), raw[: 12 if reader.big else 8])
    inline = 8 if reader.big else 4
    place = at + len(raw) - inline
    if SIZES.get(kind, 0) * count > inline:
        (place,) = struct.unpack(reader.order + ("Q" if reader.big else "I"), raw[-inline:])
    return tag, TagEntry(kind, count, place)


def _children(page: Directory, seen: set[int]) -> list[Directory]:
    """The sub-IFDs of *page* (tag 330) that can be read."""
    found = []
    try:
        offsets = page.values(330, SUB_DIRECTORIES_MAX)
    except BadTiff:
        return []
    for place, at in enumerate(offsets):
        if at in seen:
            continue
        seen.add(int(at))
        try:
            found.append(_directory(page.reader, int(at), page.index, place))
        except BadTiff:
            continue
    return found
