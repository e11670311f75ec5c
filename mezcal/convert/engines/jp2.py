"""The parts of a JPEG 2000 file's headers that Pillow does not read (ISO/IEC 15444-1, annexes A and I)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.master_reader import MasterReader

BOXES_MAX = 200
MARKERS_MAX = 100  # before the coding style
CODING_STYLE = b"\xff\x52"
LEVELS_MAX = 32
HEADER_MAX = 16 * 2**20  # bytes: a profile and a few numbers
START = b"\xff\x4f\xff\x51"  # of a codestream
TILE_START, DATA_START = b"\xff\x90", b"\xff\x93"
RESTRICTED, ANY = 2, 3  # methods of the colour specification that contain a profile


def profile(master: MasterReader) -> bytes | None:
    """Returns the ICC profile of the JP2 file *master*, None if it has none or is a codestream alone."""
    master.seek(0)
    header = _header_box(master)
    for kind, start, end in _boxes_in(header, 0):
        if kind == b"colr" and end - start > 3 and header[start] in (RESTRICTED, ANY):
            return header[start + 3 : end]
    return None


def codestream_start(master: MasterReader) -> int | None:
    """Returns the byte at which the codestream of *master* begins, None if no box holds one."""
    master.seek(0)
    if master.read(4) == START:
        return 0
    return next((start for kind, start, _ in _file_boxes(master) if kind == b"jp2c"), None)


def decomposition_levels(master: MasterReader) -> int:
    """Returns how often *master* can be halved while it is decoded (A.6.1: the default coding style)."""
    master.seek((codestream_start(master) or 0) + 2)
    for _ in range(MARKERS_MAX):
        head = master.read(4)
        if len(head) < 4 or head[:2] in (TILE_START, DATA_START):
            return 0
        if head[:2] == CODING_STYLE:
            style = master.read(6)
            return min(style[5], LEVELS_MAX) if len(style) == 6 else 0
        master.seek(int.from_bytes(head[2:]) - 2, 1)
    return 0


def _header_box(master: MasterReader) -> bytes:
    """Returns the content of the box `jp2h`, which comes before the codestream."""
    for kind, start, size in _file_boxes(master):
        if kind == b"jp2c":
            break
        if kind == b"jp2h" and size <= HEADER_MAX:
            master.seek(start)
            return master.read(size)
    return b""


def _file_boxes(master: MasterReader) -> Iterator[tuple[bytes, int, int]]:
    """Yields kind, start and size of the content of each box in the file. Size 0 means up to the file's end."""
    position = 0
    for _ in range(BOXES_MAX):
        master.seek(position)
        head = master.read(16)
        size, kind = int.from_bytes(head[:4]), head[4:8]
        head_size = 16 if size == 1 else 8
        size = int.from_bytes(head[8:16]) if size == 1 else size
        if len(head) < 16 or (size and size < head_size):
            return
        yield kind, position + head_size, max(0, size - head_size)
        if size == 0:
            return
        position += size


def _boxes_in(data: bytes, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields kind, start and end of the content of each box in *data*, from *position* on."""
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4]) or len(data) - position
        if size < 8 or position + size > len(data):
            return
        yield data[position + 4 : position + 8], position + 8, position + size
        position += size
