"""How much memory a decoder takes to open a file, before it knows the picture: metadata, frames, the file itself.

Figures are measured with files that hold much of each and a picture of 64 x 64 pixels; docs/memory.md has them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.master_reader import MasterReader

OPENED_MAX = 800 * 2**20  # bytes
GIF_FRAME_BYTES = 80  # for each frame, which has at least fifteen bytes in the file
GIF_FRAME = b","  # the byte that a frame begins with
JPEG_METADATA_COPIES = 3.2  # of the segments that libjpeg keeps: its own, libvips', and the file's pages
PNG_CHUNK_COPIES = 0.7
PNG_CHUNKS_MAX = 100_000
SGI_COPIES = 2.1  # of the file, which Pillow reads whole
BLOCK = 2**20
HEIF_BOXES_MAX, HEIF_META_MAX = 1_000, 32 * 2**20
HEIF_SIZE = re.compile(rb"ispe\0\0\0\0(.{8})", re.DOTALL)
JPEG_METADATA = re.compile(rb"\xff[\xe0-\xef\xfe]")  # never within coded pixels
JPEG_SEGMENT_MAX = 65_535


def reserve(name: str, master: MasterReader) -> int:
    """Reserve the memory that opening *master* takes. Returns it in bytes. Raises `TooLarge`."""
    position = master.tell()
    needed = bytes_to_open(name, master)
    if needed > OPENED_MAX:
        raise TooLarge(
            f"to open this {name} takes {needed // 2**20:,} MB of memory for its metadata or frames, and "
            f"{OPENED_MAX // 2**20} are allowed: save it without them"
        )
    master.reserve(needed)
    master.seek(position)
    return needed


def bytes_to_open(name: str, master: MasterReader) -> int:
    """Returns the bytes that opening *master* takes, 0 for a format whose decoders take little."""
    count = {"GIF": _gif, "JPEG": _jpeg, "PNG": _png, "SGI": _sgi}.get(name)
    if count is not None:
        return count(master)
    held = name in ("WebP", "WEBP") and master.reopen_path is None  # else the file is mapped
    return master.seek(0, 2) if held or name in ("AVIF", "HEIF") else 0


def _sgi(master: MasterReader) -> int:
    return round(SGI_COPIES * master.seek(0, 2))


def _gif(master: MasterReader) -> int:
    """Counts the bytes that may begin a frame: few in real files, each frame in one of empty frames."""
    frames = sum(block.count(GIF_FRAME) for block in _blocks(master, 0))
    return master.seek(0, 2) + GIF_FRAME_BYTES * frames


def _jpeg(master: MasterReader) -> int:
    """Returns the bytes of the segments before the first scan, if they are many.

    Behind it, there are no bytes that look like such a segment, but those of one.
    """
    start = master.seek(2)
    for _ in range(OPENED_MAX // 4):
        head = master.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            break
        master.seek(int.from_bytes(head[2:]) - 2, 1)
    size = master.tell() - start
    return round(JPEG_METADATA_COPIES * size)


def jpeg_bytes_after(master: MasterReader, start: int) -> int:
    """Returns the bytes that segments of metadata behind the first scan take, which begins at *start*."""
    found = sum(len(JPEG_METADATA.findall(block)) for block in _blocks(master, start))
    return round(JPEG_METADATA_COPIES * min(found * JPEG_SEGMENT_MAX, max(master.seek(0, 2) - start, 0)))


def _png(master: MasterReader) -> int:
    """Returns the bytes of the chunks between the header and the pixels."""
    position, kept = 8, 0
    for _ in range(PNG_CHUNKS_MAX):
        master.seek(position)
        head = master.read(8)
        if len(head) < 8 or head[4:] == b"IDAT":
            break
        size = int.from_bytes(head[:4])
        kept += size
        position += size + 12
    return round(PNG_CHUNK_COPIES * min(kept, master.seek(0, 2)))


def largest_coded(master: MasterReader) -> int:
    """Returns the pixels of the largest coded picture in an AVIF or HEIF (ISO/IEC 23008-12, 6.5.3: `ispe`).

    A small grid may be made of a large tile, and both are decoded whole.
    """
    position, found = master.tell(), [0]
    start = 0
    for _ in range(HEIF_BOXES_MAX):
        master.seek(start)
        head = master.read(16)
        size = int.from_bytes(head[8:16]) if head[:4] == b"\0\0\0\1" else int.from_bytes(head[:4])
        if head[4:8] == b"meta":
            master.seek(start)
            sides = HEIF_SIZE.findall(master.read(min(size or HEIF_META_MAX, HEIF_META_MAX)))
            found += [int.from_bytes(side[:4]) * int.from_bytes(side[4:]) for side in sides]
        if len(head) < 16 or size < 8:
            break
        start += size
    master.seek(position)
    return max(found)


def _blocks(master: MasterReader, start: int) -> Iterator[bytes]:
    master.seek(start)
    while block := master.read(BLOCK):
        yield block
