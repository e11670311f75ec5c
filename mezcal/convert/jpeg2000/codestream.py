"""The headers of a JPEG 2000 codestream, its tiles as codestreams of their own, and the memory that decoding takes.

A tile does not depend on any other (ISO/IEC 15444-1, annexes A and B). So the main header with the place of one tile,
and the parts of that tile, are a whole codestream, which any decoder reads alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mezcal.convert.engines.decoded import CannotRead, Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.master_reader import MasterReader

SOC, SIZ, COD, COC, TLM, PLM, PPM, CRG, COM = 0xFF4F, 0xFF51, 0xFF52, 0xFF53, 0xFF55, 0xFF57, 0xFF60, 0xFF63, 0xFF64
SOT, SOD, EOC = 0xFF90, 0xFF93, 0xFFD9
LEFT_OUT = frozenset({TLM, PLM, CRG, COM})  # of a tile's own codestream: they speak of all tiles, or of no pixels
HEADER_MAX = 16 * 2**20  # bytes
PARTS_MAX = 1_000_000
TILE_PARTS_MAX = 255  # of one tile: their index has eight bits
COMPONENTS_MAX = 256
LEVELS_MAX = 32

BLOCK_BYTES = 700  # for each code-block; measured 390 with empty ones
PRECINCT_BYTES = 200  # for each precinct of a subband, in addition to its blocks
TILE_BYTES, TILE_COMPONENT_BYTES = 9_500, 1_300  # for each tile of the codestream, all at once; measured 9,900, 12,100
SAMPLE_BYTES = 4  # OpenJPEG's integers
STREAM_COPIES = 2.2  # of a tile's coded bytes
ROW_COPIES = 3  # of a decoded row of tiles, when OpenJPEG has returned its memory
PILLOW_PIXEL_BYTES, PILLOW_STREAM_COPIES = 6, 1.3  # for pictures that Pillow decodes


class Component(NamedTuple):
    """Bits, sign and subsampling of one component."""

    depth: int
    signed: bool
    across: int
    down: int


class CodingStyle(NamedTuple):
    """What COD or COC say of the memory that is needed: sizes are exponents of two."""

    layers: int
    levels: int
    block: tuple[int, int]
    precincts: tuple[tuple[int, int], ...]  # one for each resolution, the smallest first

    def structure_bytes(self, width: int, height: int) -> int:
        """Returns the bytes that a decoder takes for blocks and precincts of one component, *width* x *height*."""
        total = most = 0
        for resolution in range(self.levels + 1):
            shift = self.levels - resolution
            across, down = -(-width >> shift), -(-height >> shift)
            wide, high = self.precincts[resolution] if self.precincts else (15, 15)
            precincts = ((across >> wide) + 2) * ((down >> high) + 2)
            bands, half = (3, 1) if resolution else (1, 0)
            block = min(self.block[0], max(wide - half, 0)), min(self.block[1], max(high - half, 0))
            blocks = max(((across >> half >> block[0]) + 2) * ((down >> half >> block[1]) + 2), precincts)
            total += bands * (blocks * BLOCK_BYTES + precincts * PRECINCT_BYTES)
            most = max(most, precincts)
        return total + 2 * (self.layers + 1) * (self.levels + 1) * most


class TilePart(NamedTuple):
    """Where a part of a tile is in the file, and the bytes of its own header, without SOT and SOD."""

    offset: int
    size: int
    head: int


@dataclass(frozen=True)
class Codestream:
    """The main header. Sides and offsets are those of the reference grid; *head* has its other marker segments."""

    capabilities: int
    area: tuple[int, int, int, int]  # left, top, right, bottom
    tile: tuple[int, int, int, int]  # left and top of the first, width, height
    components: tuple[Component, ...]
    head: tuple[tuple[int, bytes], ...]
    styles: tuple[CodingStyle, ...]
    parts: dict[int, list[TilePart]]
    length: int

    @property
    def divisible(self) -> bool:
        """True if each tile can be read alone: the headers of its packets are not in the main header (PPM)."""
        return all(kind != PPM for kind, _ in self.head)

    @property
    def width(self) -> int:
        """Pixels."""
        return self.area[2] - self.area[0]

    @property
    def height(self) -> int:
        """Pixels."""
        return self.area[3] - self.area[1]

    @property
    def across(self) -> int:
        """Tiles in a row."""
        return -(-(self.area[2] - self.tile[0]) // self.tile[2])

    @property
    def down(self) -> int:
        """Rows of tiles."""
        return -(-(self.area[3] - self.tile[1]) // self.tile[3])

    @property
    def levels(self) -> int:
        """How often the picture can be halved while it is decoded."""
        return min((style.levels for style in self.styles), default=0)

    def tile_area(self, number: int) -> tuple[int, int, int, int]:
        """Returns left, top, right and bottom of tile *number* within the picture (annex B.3)."""
        row, column = divmod(number, self.across)
        left, top = self.tile[0] + column * self.tile[2], self.tile[1] + row * self.tile[3]
        right, bottom = min(left + self.tile[2], self.area[2]), min(top + self.tile[3], self.area[3])
        return max(left, self.area[0]), max(top, self.area[1]), right, bottom

    @property
    def strip_rows(self) -> int:
        """Rows that are decoded at a time: a row of tiles, or all if the first of them is not as high as the others."""
        return self.tile[3] if self.down > 1 and self.area[1] == self.tile[1] else self.height

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a decoded pixel."""
        deepest = max(component.depth for component in self.components)
        return len(self.components) * (1 if deepest <= 8 else 2 if deepest <= 16 else 4)

    def row_bytes(self) -> int:
        """Returns the bytes that decoding a row of tiles takes, one tile after the other."""
        coded = max((sum(part.size for part in parts) for parts in self.parts.values()), default=0)
        row = self.width * self.strip_rows * self.pixel_bytes
        head = TILE_BYTES + TILE_COMPONENT_BYTES * len(self.components)
        several = self.across > 1 or self.down > 1
        work = self._tile_bytes + self._structure_bytes + row * several
        return max(work, ROW_COPIES * row) + head + round(STREAM_COPIES * coded)

    def reduced_bytes(self, level: int) -> int:
        """Returns the bytes that Pillow takes for the whole picture, halved *level* times."""
        pixels = self._tile_bytes + PILLOW_PIXEL_BYTES * self.width * self.height
        return pixels // int(4**level) + self.overhead_bytes + round(PILLOW_STREAM_COPIES * self.length)

    @property
    def overhead_bytes(self) -> int:
        """Bytes of all tiles, and of the blocks and precincts of one, however small it is decoded."""
        tile = TILE_BYTES + TILE_COMPONENT_BYTES * len(self.components)
        return self.across * self.down * tile + self._structure_bytes

    @property
    def _tile_bytes(self) -> int:
        """Bytes of a tile's samples, in OpenJPEG and as they are returned."""
        pixels = min(self.tile[2], self.width) * min(self.tile[3], self.height)
        return pixels * (SAMPLE_BYTES * len(self.components) + self.pixel_bytes)

    @property
    def _structure_bytes(self) -> int:
        """Bytes of the blocks and precincts of a tile."""
        width, height = min(self.tile[2], self.width), min(self.tile[3], self.height)
        most = max((style.structure_bytes(width, height) for style in self.styles), default=0)
        return most * len(self.components)

    def tile_codestream(self, master: MasterReader | BinaryIO, number: int) -> bytes:
        """Returns tile *number* as a codestream of its own. Raises `Damaged` if the file does not hold it."""
        parts = self.parts.get(number)
        if not parts:
            raise Damaged(f"tile {number} is missing")
        if len(parts) > TILE_PARTS_MAX:
            raise CannotRead(f"tile {number} is in {len(parts)} parts")
        left, top, right, bottom = self.tile_area(number)
        data = [struct.pack(">H", SOC), self._size_marker(left, top, right, bottom)]
        data += [struct.pack(">HH", kind, len(content) + 2) + content for kind, content in self.head]
        for index, part in enumerate(parts):
            master.seek(part.offset + 12)
            content = master.read(part.size - 12)
            if len(content) < part.size - 12:
                raise Damaged(f"tile {number} is cut")
            data.append(struct.pack(">HHHIBB", SOT, 10, 0, len(content) + 12, index, len(parts)))
            data.append(content)
        return b"".join([*data, struct.pack(">H", EOC)])

    def _size_marker(self, left: int, top: int, right: int, bottom: int) -> bytes:
        """Returns SIZ for a picture of one tile, in its place on the reference grid (A.5.1)."""
        parts = b"".join(bytes([part.depth - 1 | part.signed << 7, part.across, part.down]) for part in self.components)
        grid = (right, bottom, left, top, right - left, bottom - top, left, top)
        head = struct.pack(">HHH8IH", SIZ, 38 + len(parts), self.capabilities, *grid, len(self.components))
        return head + parts


def read(master: MasterReader | BinaryIO, start: int) -> Codestream:
    """Returns the codestream that begins at byte *start*. Raises `CannotRead` if its headers make no sense."""
    try:
        return _read(master, start)
    except (struct.error, IndexError) as error:
        raise CannotRead("the header of its codestream is broken") from error


def _read(master: MasterReader | BinaryIO, start: int) -> Codestream:
    length = master.seek(0, 2) - start
    master.seek(start)
    if master.read(2) != struct.pack(">H", SOC):
        raise CannotRead("the header of its codestream is broken")
    head: list[tuple[int, bytes]] = []
    size = b""
    for kind, content in _segments(master):
        if kind == SIZ:
            size = content
        elif kind not in LEFT_OUT:
            head.append((kind, content))
    capabilities, right, bottom, left, top, across, down, tile_left, tile_top, count = struct.unpack(">H8IH", size[:36])
    components = _components(size[36:], count)
    area, tile = (left, top, right, bottom), (tile_left, tile_top, across, down)
    _check_grid(area, tile)
    styles = list(_styles(head, count))
    stream = Codestream(capabilities, area, tile, components, tuple(head), (), {}, length)
    parts = _tile_parts(master, master.tell(), start + length, stream.across * stream.down, styles, count)
    return Codestream(capabilities, area, tile, components, tuple(head), tuple(styles), parts, length)


def _components(data: bytes, count: int) -> tuple[Component, ...]:
    if not 0 < count <= COMPONENTS_MAX or len(data) < 3 * count:
        raise CannotRead(f"it has {count} components")
    found = tuple(
        Component((data[at] & 0x7F) + 1, bool(data[at] & 0x80), data[at + 1], data[at + 2])
        for at in range(0, 3 * count, 3)
    )
    if any(part.depth > 32 or not part.across or not part.down for part in found):
        raise CannotRead("the header of its codestream is broken")
    return found


def _check_grid(area: tuple[int, int, int, int], tile: tuple[int, int, int, int]) -> None:
    """Raise `CannotRead` unless the first tile begins before the picture, and both have pixels (B.2, B.3)."""
    left, top, right, bottom = area
    sound = left < right and top < bottom and tile[2] and tile[3]
    if not (sound and tile[0] <= left < tile[0] + tile[2] and tile[1] <= top < tile[1] + tile[3]):
        raise CannotRead("the header of its codestream is broken")


def _segments(master: MasterReader | BinaryIO, most: int = HEADER_MAX) -> Iterator[tuple[int, bytes]]:
    """Yields kind and content of the marker segments up to SOT or SOD, which is left unread."""
    while True:
        (kind,) = struct.unpack(">H", master.read(2))
        if kind in (SOT, SOD):
            master.seek(-2, 1)
            return
        (size,) = struct.unpack(">H", master.read(2))
        most -= size
        if size < 2 or kind < 0xFF00 or most < 0:
            raise CannotRead("the header of its codestream is broken")
        content = master.read(size - 2)
        yield kind, content


def _styles(head: list[tuple[int, bytes]], components: int) -> Iterator[CodingStyle]:
    """Yields the coding styles of COD and COC (A.6.1, A.6.2). Those of COC have the layers of COD."""
    layers = max((int.from_bytes(content[2:4]) for kind, content in head if kind == COD), default=1)
    for kind, content in head:
        if kind == COD:
            yield _style(layers, content[0], content[5:])
        elif kind == COC:
            at = 1 if components < 257 else 2
            yield _style(layers, content[at], content[at + 1 :])


def _style(layers: int, flags: int, data: bytes) -> CodingStyle:
    levels = data[0]
    if levels > LEVELS_MAX:
        raise CannotRead("the header of its codestream is broken")
    sizes = data[5 : 6 + levels] if flags & 1 else b""
    precincts = tuple((size & 15, size >> 4) for size in sizes)
    if flags & 1 and len(precincts) <= levels:
        raise CannotRead("the header of its codestream is broken")
    return CodingStyle(layers, levels, ((data[1] & 15) + 2, (data[2] & 15) + 2), precincts)


def _tile_parts(
    master: MasterReader | BinaryIO, position: int, end: int, tiles: int, styles: list[CodingStyle], components: int
) -> dict[int, list[TilePart]]:
    """Returns the parts of each tile; adds the coding styles of their headers to *styles*."""
    found: dict[int, list[TilePart]] = {}
    for _ in range(PARTS_MAX):
        master.seek(position)
        head = master.read(12)
        if len(head) < 12 or int.from_bytes(head[:2]) != SOT:
            break
        number, size = struct.unpack(">HI", head[4:10])
        size = size or end - position
        if number >= tiles or size < 14:
            raise CannotRead("a part of a tile has no place in the picture")
        own = list(_segments(master))
        for style in _styles(own, components):
            if style not in styles:
                styles.append(style)
        found.setdefault(number, []).append(TilePart(position, size, master.tell() - position - 12))
        position += size
    return found
