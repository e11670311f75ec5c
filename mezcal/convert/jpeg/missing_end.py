"""JPEG files that lack their end marker alone (ITU-T T.81, B.1.1.3).

Whole is told from cut in two steps. All scans must be there: each component has one, and in a progressive file each
coefficient has come to its last bit. Then the marker is added, and the file is decoded as strictly as any other: a
decoder that needs one more bit of the picture than there is finds the marker instead, and refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.convert.master_reader import PatchedReader

if TYPE_CHECKING:
    from mezcal.convert.master_reader import MasterReader

END = b"\xff\xd9"
NOTE = "the JPEG lacks its end marker; the picture is whole"
SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA)
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_CONTENT = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})  # stuffing, and markers inside the coded data
COEFFICIENTS = 64
SCANS_MAX = 1_000
CHUNK = 2**20


class Incomplete(Exception):
    """The file has an end marker, or ends in the middle of a header."""


@dataclass
class Scans:
    """What the scans of a file contain: for each component, the lowest bit that is coded of each coefficient."""

    frame: int = 0
    components: dict[int, list[int | None]] = field(default_factory=dict)

    def add_frame(self, marker: int, content: bytes) -> None:
        """Take the components of a frame header."""
        self.frame = marker
        self.components = {number: [None] * COEFFICIENTS for number in content[6::3]}

    def add_scan(self, content: bytes) -> None:
        """Take what a scan header says that its scan contains. Raises `IndexError` if it is cut."""
        count = content[0]
        first, last, bits = content[1 + 2 * count : 4 + 2 * count]
        whole = self.frame in SEQUENTIAL
        for number in content[1 : 1 + 2 * count : 2]:
            for at in range(COEFFICIENTS) if whole else range(first, min(last + 1, COEFFICIENTS)):
                self.components[number][at] = 0 if whole else bits & 15

    @property
    def are_complete(self) -> bool:
        """True if nothing of the picture is left for further scans."""
        known = self.frame in SEQUENTIAL + PROGRESSIVE and bool(self.components)
        return known and all(bits == 0 for component in self.components.values() for bits in component)


def completed(master: MasterReader) -> PatchedReader | None:
    """Returns the JPEG *master* with an end marker, if it has none and no scan is missing; else None."""
    length = master.seek(0, 2)
    try:
        complete = _scans(master, length).are_complete
    except (Incomplete, IndexError, KeyError, ValueError):
        return None
    return PatchedReader(master, length, END) if complete else None


def _scans(master: MasterReader, length: int) -> Scans:
    scans, position = Scans(), 2
    for _ in range(SCANS_MAX):
        marker, position = _next_marker(master, position, length)
        if marker is None:
            return scans
        if marker == END_OF_IMAGE:
            raise Incomplete
        master.seek(position)
        size = int.from_bytes(master.read(2))
        content = master.read(size - 2) if size > 2 else b""
        if len(content) < size - 2:
            raise Incomplete
        position += size
        if marker in SEQUENTIAL + PROGRESSIVE:
            scans.add_frame(marker, content)
        elif marker == START_OF_SCAN:
            scans.add_scan(content)
    raise Incomplete


def _next_marker(master: MasterReader, position: int, length: int) -> tuple[int | None, int]:
    """Returns the next marker that has content and the position behind it, None at the file's end."""
    while position < length:
        master.seek(position)
        data = master.read(CHUNK)
        at = data.find(b"\xff")
        while 0 <= at < len(data) - 1:
            if data[at + 1] != 0xFF and data[at + 1] not in WITHOUT_CONTENT:
                return data[at + 1], position + at + 2
            at = data.find(b"\xff", at + 1)
        position += max(len(data) - 1, 1)
    return None, length
