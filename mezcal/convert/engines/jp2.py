"""The colour profile in a JP2's header, which Pillow passes over (ISO/IEC 15444-1, annex I)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.master_reader import MasterReader

BOXES_MAX = 200
MARKERS_MAX = 100  # before the style of coding
STYLE = b"\xff\x52"
LEVELS_MAX = 32
HEADER_MAX = 16 * 2**20  # bytes: a profile and a few numbers
START = b"\xff\x4f\xff\x51"  # of a codestream
RESTRICTED, ANY = 2, 3  # methods of the colour specification that hold a profile


def profile(master: MasterReader) -> bytes | None:
    """The ICC profile of the JP2 file *master*, None if it has none or is a bare codestream."""
    master.seek(0)
    header = _header(master)
    for kind, begin, end in _boxes(header, 0):
        if kind == b"colr" and end - begin > 3 and header[begin] in (RESTRICTED, ANY):
            return header[begin + 3 : end]
    return None


def codestream(master: MasterReader) -> int | None:
    """Where the codestream of *master* begins; None if no box says so."""
    master.seek(0)
    if master.read(4) == START:
        return 0
    return next((begin for kind, begin, _ in _outer(master) if kind == b"jp2c"), None)


def halvings(master: MasterReader) -> int:
    """How often the codestream of *master* can be decoded at half the size before (A.6.1: its default style)."""
    at = codestream(master)
    master.seek((at or 0) + 2)
    for _ in range(MARKERS_MAX):
        head = master.read(4)
        if len(head) < 4 or head[:2] in (b"\xff\x90", b"\xff\x93"):  # the first tile, or its data
            return 0
        if head[:2] == STYLE:
            style = master.read(6)
            return min(style[5], LEVELS_MAX) if len(style) == 6 else 0
        master.seek(int.from_bytes(head[2:]) - 2, 1)
    return 0


def _header(master: MasterReader) -> bytes:
    """The content of the box `jp2h`; it comes before the codestream."""
    for kind, begin, size in _outer(master):
        if kind == b"jp2c":
            break
        if kind == b"jp2h" and size <= HEADER_MAX:
            master.seek(begin)
            return master.read(size)
    return b""


def _outer(master: MasterReader) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and size of the content of the file's own boxes; the last may be of size 0, to the end."""
    at = 0
    for _ in range(BOXES_MAX):
        master.seek(at)
        head = master.read(16)
        size, kind = int.from_bytes(head[:4]), head[4:8]
        inner = 16 if size == 1 else 8
        size = int.from_bytes(head[8:16]) if size == 1 else size
        if len(head) < 16 or (size and size < inner):
            return
        yield kind, at + inner, max(0, size - inner)
        if size == 0:
            return
        at += size


def _boxes(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box in *data*."""
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4]) or len(data) - at
        if size < 8 or at + size > len(data):
            return
        yield data[at + 4 : at + 8], at + 8, at + size
        at += size
