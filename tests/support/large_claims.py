"""Small masters that would take much memory, one or two of each format. Large ones are files with holes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Fields = dict[int, tuple[int, list[int]]]  # by tag: the type, and the values
SIZES = {1: 1, 3: 2, 4: 4}
CODES = {1: "B", 3: "H", 4: "I"}
MIB = 2**20


def small(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """Returns a sound master of 64 x 64 pixels."""
    file = io.BytesIO()
    Image.new(mode, (64, 64), 90).save(file, kind, **options)
    return file.getvalue()


# --- TIFF


def tiff(data: bytes, fields: Fields, more: tuple[tuple[int, int, int, int], ...] = ()) -> bytes:
    """Returns a TIFF with *data* at byte 8. *more* are whole entries: tag, type, count and offset."""
    end = 8 + len(data) + len(data) % 2
    free = end + 2 + 12 * (len(fields) + len(more)) + 4
    entries, tail = [(tag, struct.pack("<HHII", tag, *rest)) for tag, *rest in more], b""
    for tag, (kind, values) in fields.items():
        raw = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
        place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", free + len(tail))
        tail += b"" if len(raw) <= 4 else raw
        entries.append((tag, struct.pack("<HHI", tag, kind, len(values)) + place))
    table = b"".join(entry for _, entry in sorted(entries))
    head = struct.pack("<2sHI", b"II", 42, end) + data.ljust(end - 8, b"\0")
    return head + struct.pack("<H", len(entries)) + table + bytes(4) + tail


def layout(width: int, height: int, compression: int, depths: list[int], tile: int = 0) -> Fields:
    """Returns the tags of a grey or RGB page, in tiles of *tile* pixels a side if it is not 0."""
    colour = 2 if len(depths) >= 3 else 1
    fields: Fields = {256: (4, [width]), 257: (4, [height]), 258: (3, depths), 259: (3, [compression])}
    fields |= {262: (3, [colour]), 277: (3, [len(depths)])}
    return fields | ({322: (4, [tile]), 323: (4, [tile])} if tile else {278: (4, [height])})


def one_tile(compression: int, tile: bytes, side: int, **more: list[int]) -> bytes:
    """Returns a grey TIFF of 8 bits with a single tile. *more* are LONG values by t<number>."""
    fields = layout(side, side, compression, [8], side) | {324: (4, [8]), 325: (4, [len(tile)])}
    return tiff(tile, fields | {int(tag[1:]): (4, values) for tag, values in more.items()})


def overlapping_directories(count: int = 5_000, entries: int = 4_000) -> bytes:
    """Every twelve bytes are an entry of thousands of directories, and hold the link of one to the next."""
    slots = np.zeros(count + entries + 1, np.dtype([("entries", "<u2"), ("link", "<u4"), ("rest", "S6")]))
    slots["entries"] = entries
    slots["link"][entries:] = 8 + 12 * np.arange(1, count + 2)
    return b"II*\0\x08\0\0\0" + slots.tobytes()


def many_entries(count: int = 60, entries: int = 4_000) -> bytes:
    """Directories one behind the other, with 240,000 entries in all."""
    size = 2 + 12 * entries + 4
    one = struct.pack("<H", entries) + b"".join(struct.pack("<HHII", 1000 + i, 3, 1, 0) for i in range(entries))
    links = [8 + size * (number + 1) for number in range(count - 1)]
    return b"II*\0\x08\0\0\0" + b"".join(one + struct.pack("<I", link) for link in (*links, 0))


def many_tiles(across: int = 700) -> bytes:
    """Tables of half a million tiles that are one and the same; offsets and sizes are the same bytes, too."""
    count = across * across
    table = np.full(count, 70_000, "<u4").tobytes() + bytes(70_000)
    return tiff(table, layout(16 * across, 16 * across, 8, [8], 16), ((324, 4, count, 8), (325, 4, count, 8)))


def padded_tiles(across: int = 400) -> bytes:
    """A row of tiles of 256 bytes that take a megabyte each in the file; they are in the same place."""
    tile = imagecodecs.zstd_encode(bytes(256)).ljust(MIB, b"\0")
    table = {324: (4, [8] * across), 325: (4, [MIB] * across)}
    return tiff(tile, layout(16 * across, 16, 50000, [8], 16) | table)


def many_large_tags(compression: int = 8) -> bytes:
    """Forty tags of 8 MB each, in the same bytes."""
    strip = zlib.compress(bytes(64 * 64))
    fields = layout(64, 64, compression, [8]) | {273: (4, [8]), 279: (4, [len(strip)])}
    return tiff(strip + bytes(8 * MIB), fields, tuple((40_000 + i, 7, 8 * MIB, 8) for i in range(40)))


def old_jpeg_with_large_tags() -> bytes:
    """Forty tags as above; Pillow reads this kind of TIFF."""
    strip = small("JPEG", subsampling="4:2:0")
    fields = layout(64, 64, 6, [8, 8, 8]) | {262: (3, [6]), 530: (3, [2, 2]), 513: (4, [8]), 514: (4, [len(strip)])}
    fields |= {273: (4, [8]), 279: (4, [len(strip)])}
    return tiff(strip + bytes(8 * MIB), fields, tuple((40_000 + i, 7, 8 * MIB, 8) for i in range(40)))


def large_strip() -> bytes:
    """One deflated strip that takes 60 MB in the file."""
    samples = np.random.default_rng(1).integers(0, 255, (5_000, 4_000, 3), "u1").tobytes()
    strip = zlib.compress(samples, 0)
    return tiff(strip, layout(4_000, 5_000, 8, [8] * 3) | {273: (4, [8]), 279: (4, [len(strip)])})


def wide() -> bytes:
    """Rows of 300,000 pixels, 16 bits and three samples."""
    strip = zlib.compress(bytes(300_000 * 6))
    fields = layout(300_000, 64, 8, [16] * 3) | {278: (4, [1]), 273: (4, [8] * 64), 279: (4, [len(strip)] * 64)}
    return tiff(strip, fields)


def lerc(bands: int = 1, kind: str = "u1") -> bytes:
    """A LERC tile of more bands, or of another type, than the TIFF declares."""
    return one_tile(34887, imagecodecs.lerc_encode(np.zeros((1024, 1024), kind)) * bands, 1024, t50674=[4, 0])


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, depth: int, colour: int, channels: int) -> bytes:
    """Returns a black PNG."""
    pixels = zlib.compress(bytes((side * depth // 8 * channels + 1) * side), 1)
    head = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


# --- JPEG 2000


def codestream(
    side: int, tile: int, *, components: int = 1, levels: int = 0, block: int = 4, precinct: int | None = None,
    layers: int = 1,
) -> bytes:  # fmt: skip
    """Returns a codestream without packets. *block* and *precinct* are exponents, as they are stored."""
    siz = struct.pack(">HIIIIIIIIH", 0, side, side, 0, 0, tile, tile, 0, 0, components) + b"\x07\1\1" * components
    cod = struct.pack(">BBHB5B", precinct is not None, 0, layers, 0, levels, block, block, 0, 1)
    cod += bytes([17 * precinct] * (levels + 1)) if precinct is not None else b""
    segments = [(b"\xff\x51", siz), (b"\xff\x52", cod), (b"\xff\x5c", b"\x40" + b"\x40" * (3 * levels + 1))]
    head = b"".join(kind + struct.pack(">H", len(content) + 2) + content for kind, content in segments)
    tiles = range((-(-side // tile)) ** 2)
    parts = b"".join(b"\xff\x90" + struct.pack(">HHIBB", 10, number, 14, 0, 1) + b"\xff\x93" for number in tiles)
    return b"\xff\x4f" + head + parts + b"\xff\xd9"


# --- AVIF


def boxes(data: bytes) -> dict[bytes, bytes]:
    """Returns the content of each box in *data* by its kind."""
    found, at = {}, 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4]) or len(data) - at
        found[data[at + 4 : at + 8]] = data[at + 8 : at + size]
        at += size
    return found


def box(kind: bytes, content: bytes, version: int | None = None) -> bytes:
    """Returns a box; with a *version*, one that has it and flags before its content."""
    content = content if version is None else struct.pack(">I", version << 24) + content
    return struct.pack(">I4s", len(content) + 8, kind) + content


def small_grid(side: int = 4_000, shown: int = 64) -> bytes:
    """Returns an AVIF of *shown* pixels a side: a grid of a single tile, which has *side* pixels a side."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), 90).save(file, "AVIF", speed=10)
    top = boxes(file.getvalue())
    meta = boxes(top[b"meta"][4:])
    own = boxes(boxes(meta[b"iprp"])[b"ipco"])
    sides = box(b"ispe", struct.pack(">II", shown, shown), 0)
    properties = b"".join(box(kind, content) for kind, content in own.items()) + sides
    of_tile = bytes([len(own), *(index | (kind == b"av1C") << 7 for index, kind in enumerate(own, 1))])
    uses = struct.pack(">IHBBH", 2, 1, 1, len(own) + 1, 2) + of_tile
    grid = struct.pack(">4BHH", 0, 0, 0, 0, shown, shown)
    items = [box(b"infe", struct.pack(">HH4sx", number, 0, kind), 2) for number, kind in ((1, b"grid"), (2, b"av01"))]

    def head(start: int) -> bytes:
        places = struct.pack(">BBH", 0x44, 0, 2) + struct.pack(">4HII", 1, 1, 0, 1, 0, len(grid))
        places += struct.pack(">4HII", 2, 0, 0, 1, start, len(top[b"mdat"]))
        content = box(b"hdlr", meta[b"hdlr"]) + box(b"pitm", struct.pack(">H", 1), 0) + box(b"iloc", places, 1)
        content += box(b"iinf", struct.pack(">H", 2) + b"".join(items), 0)
        content += box(b"iref", box(b"dimg", struct.pack(">3H", 1, 1, 2)), 0)
        content += box(b"iprp", box(b"ipco", properties) + box(b"ipma", uses, 0)) + box(b"idat", grid)
        return box(b"ftyp", top[b"ftyp"]) + box(b"meta", content, 0)

    return head(len(head(0)) + 8) + box(b"mdat", top[b"mdat"])


# --- files with holes


def jpeg_with_metadata(path: Path, segments: int = 9_000) -> None:
    """Write a JPEG with segments of 64 KB before its picture."""
    data = small("JPEG")
    with path.open("wb") as file:
        file.write(data[:2])
        for _ in range(segments):
            file.write(b"\xff\xe1\xff\xffExif\0\0")
            file.seek(65_527, 1)
        file.write(data[2:])


def png_with_texts(path: Path, count: int = 300) -> None:
    """Write a PNG with texts of 900 KB each."""
    data = small("PNG")
    text = png_chunk(b"tEXt", b"key\0" + b"x" * 900_000)
    with path.open("wb") as file:
        file.write(data[:33])
        for _ in range(count):
            file.write(text)
        file.write(data[33:])


def gif_with_frames(path: Path, frames: int = 2_000_000) -> None:
    """Write a GIF with frames of one pixel, of fifteen bytes each."""
    data = small("GIF", "L")
    first = data.index(b"\x2c\0\0\0\0")
    path.write_bytes(data[:first] + b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0" * frames + b"\x3b")


def webp_with_chunk(path: Path, size: int = 300 * MIB) -> None:
    """Write a WebP with a large unknown chunk."""
    body = small("WEBP")[12:]
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", len(body) + 12 + size) + b"WEBP" + body + b"JUNK")
        file.write(struct.pack("<I", size))
        file.truncate(file.tell() + size)


def psd_with_resource(path: Path, size: int = 600 * MIB) -> None:
    """Write a PSD with a large image resource."""
    with path.open("wb") as file:
        file.write(b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHHI", 3, 64, 64, 8, 3, 0))
        file.write(struct.pack(">I4sHHI", size + 12, b"8BIM", 1040, 0, size))
        file.seek(size, 1)
        file.write(bytes(6) + bytes(64 * 64 * 3))


def psd_with_resources(path: Path, count: int = 200_000) -> None:
    """Write a PSD with many empty image resources."""
    resources = struct.pack(">4sHHI", b"8BIM", 1040, 0, 0) * count
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHHII", 3, 64, 64, 8, 3, 0, len(resources))
    path.write_bytes(head + resources + bytes(6) + bytes(64 * 64 * 3))


def sgi_with_tail(path: Path, size: int = 600 * MIB) -> None:
    """Write a run-length coded SGI that is followed by nothing but zeros."""
    rows = 64 * 3
    head = struct.pack(">hBBHHHH", 474, 1, 1, 3, 64, 64, 3).ljust(512, b"\0")
    tables = struct.pack(f">{2 * rows}I", *[512 + 8 * rows] * rows, *[3] * rows)
    with path.open("wb") as file:
        file.write(head + tables + b"\x40\5\0")
        file.truncate(file.tell() + size)


def jp2_with_header(path: Path, size: int = 900 * MIB) -> None:
    """Write a JP2 whose header has an unknown box of *size* bytes."""
    data = small("JPEG2000")
    head = data.index(b"jp2h") - 4
    end = head + int.from_bytes(data[head : head + 4])
    with path.open("wb") as file:
        file.write(data[:head] + struct.pack(">I", end - head + size) + data[head + 4 : end])
        file.write(struct.pack(">I4s", size, b"free"))
        file.seek(size - 8, 1)
        file.write(data[end:])


BYTES: dict[str, Callable[[], bytes]] = {
    "overlapping-directories.tif": overlapping_directories,
    "many-entries.tif": many_entries,
    "many-tiles.tif": many_tiles,
    "padded-tiles.tif": padded_tiles,
    "large-tags.tif": many_large_tags,
    "old-jpeg-large-tags.tif": old_jpeg_with_large_tags,
    "large-strip.tif": large_strip,
    "wide.tif": wide,
    "lerc-bands.tif": lambda: lerc(bands=200),
    "lerc-double.tif": lambda: lerc(kind="f8"),
    "lerc-deflated.tif": lambda: one_tile(34887, zlib.compress(bytes(200 * MIB), 1), 64, t50674=[4, 1]),
    "png-deep.tif": lambda: one_tile(34933, png(4_000, 16, 6, 4), 4_000),
    "jpegxr-float.tif": lambda: one_tile(34934, imagecodecs.jpegxr_encode(np.zeros((512, 512, 3), "f4")), 512),
    "jpegxl-frames.tif": lambda: one_tile(50002, imagecodecs.jpegxl_encode(np.zeros((9, 64, 64), "u1")), 64),
    "j2k-components.tif": lambda: one_tile(34712, codestream(1_024, 1_024, components=1_000), 1_024),
    "j2k-tiles.tif": lambda: one_tile(34712, codestream(510, 2), 512),
    "j2k-precincts.tif": lambda: one_tile(34712, codestream(4_000, 4_000, levels=1, block=0, precinct=1), 4_000),
    "tiles.j2k": lambda: codestream(510, 2),
    "tiles-of-three.j2k": lambda: codestream(510, 2, components=3, levels=2),
    "blocks.j2k": lambda: codestream(12_000, 12_000, levels=5, block=0),
    "precincts.j2k": lambda: codestream(4_000, 4_000, levels=5, block=0, precinct=1),
    "layers.j2k": lambda: codestream(2_000, 2_000, levels=5, precinct=5, layers=65_535),
    "grid.avif": small_grid,
    "components.j2k": lambda: codestream(256, 256, components=4_000),
}
FILES: dict[str, Callable[[Path], None]] = {
    "metadata.jpg": jpeg_with_metadata,
    "texts.png": png_with_texts,
    "frames.gif": gif_with_frames,
    "chunk.webp": webp_with_chunk,
    "resource.psd": psd_with_resource,
    "resources.psd": psd_with_resources,
    "tail.sgi": sgi_with_tail,
    "header.jp2": jp2_with_header,
}
