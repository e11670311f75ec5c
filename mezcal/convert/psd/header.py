"""The header of a Photoshop file: size, mode, resources, and where the flattened composite begins.

Source: Adobe's "Photoshop File Formats Specification".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.convert.engines.decoded import CannotRead, Damaged
from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.master_reader import MasterReader

BITMAP, GREY, INDEXED, RGB, CMYK, DUOTONE, LAB = 0, 1, 2, 3, 4, 8, 9
SHOWN = frozenset({BITMAP, GREY, INDEXED, RGB, CMYK, DUOTONE, LAB})
MODE_NAMES = {7: "multichannel"}
CHANNELS = {RGB: 3, CMYK: 4, LAB: 3}  # of the colours; others have one
RAW, PACKBITS = 0, 1
SIDE_MAX = {1: 30_000, 2: 300_000}  # pixels, by version
CHANNELS_MAX = 56
RESOURCES_MAX = 64 * 2**20  # bytes
RESOURCE_COPIES = 3
ICC = 1039  # the resource of the profile
BLOCKS_MAX = 4_096  # of additional information behind the layers
LAYERS = frozenset({b"Layr", b"Lr16", b"Lr32"})  # blocks that hold the layers of a file of 16 or 32 bits
TRANSPARENCY = frozenset({b"Mtrn", b"Mt16", b"Mt32"})  # blocks that say that the composite has transparency
LONG = frozenset(  # blocks whose length has eight bytes in a PSB
    {
        b"LMsk",
        b"Lr16",
        b"Lr32",
        b"Layr",
        b"Mt16",
        b"Mt32",
        b"Mtrn",
        b"Alph",
        b"FMsk",
        b"lnk2",
        b"FEid",
        b"FXid",
        b"PxSD",
    }
)


@dataclass(frozen=True)
class Composite:
    """The header of a PSD or PSB, and where its composite begins. *wide* is a PSB: some lengths have 8 bytes."""

    file: MasterReader
    wide: bool
    channels: int
    height: int
    width: int
    depth: int
    mode: int
    palette: bytes
    resources: dict[int, bytes] = field(repr=False)
    transparent: bool
    compression: int
    start: int

    @property
    def colours(self) -> int:
        """Channels of the colour."""
        return CHANNELS.get(self.mode, 1)

    @property
    def planes(self) -> int:
        """Channels that are shown: the colours, and the composite's transparency. Saved selections come after them."""
        return self.colours + (1 if self.has_alpha else 0)

    @property
    def has_alpha(self) -> bool:
        """True if the channel after the colours is the transparency of the composite."""
        return self.transparent and self.channels > self.colours and self.mode in (GREY, RGB, CMYK, DUOTONE)

    @property
    def peak(self) -> int:
        """The value of full intensity."""
        return {16: 65535, 32: 1}.get(self.depth, 255)

    @property
    def is_linear(self) -> bool:
        """True for floats that no profile describes: they are linear light."""
        return self.depth == 32 and (self.mode == GREY or ICC not in self.resources)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of one channel."""
        return -(-self.width * self.depth // 8)


def read_header(master: MasterReader) -> Composite:
    """Returns the header of *master*. Raises `CannotRead` and `Damaged` as `load` does."""
    reader = Sections(master)
    signature, version, channels, height, width, depth, mode = struct.unpack(">4sH6xHIIHH", reader.take(26))
    if signature != b"8BPS" or version not in SIDE_MAX:
        raise CannotRead(f"version {version} is neither that of PSD (1) nor that of PSB (2)")
    side = SIDE_MAX[version]
    if not (0 < width <= side and 0 < height <= side and 0 < channels <= CHANNELS_MAX):
        raise Damaged(f"{width} x {height} pixels in {channels} channels are declared, which none can have")
    palette = reader.section(">I")
    resources = image_resources(reader.section(">I"))
    wide = version == 2
    transparent = reader.skip_layers(wide=wide)
    (compression,) = struct.unpack(">H", reader.take(2))
    composite = Composite(
        master, wide, channels, height, width, depth, mode, palette, resources, transparent, compression,
        reader.position,
    )  # fmt: skip
    _check_kind(composite)
    return composite


def _check_kind(composite: Composite) -> None:
    """Raise `CannotRead` if the composite cannot be shown, with what was found and what is shown."""
    mode, depth = composite.mode, composite.depth
    if mode not in SHOWN:
        name = MODE_NAMES.get(mode, f"number {mode}")
        raise CannotRead(f"its colour mode is {name}; bitmap, grey, indexed, RGB, CMYK, duotone and Lab can be shown")
    wanted = (1,) if mode == BITMAP else (8,) if mode == INDEXED else (8, 16, 32)
    if depth not in wanted or (depth == 32 and mode not in (GREY, RGB)):
        raise CannotRead(f"{depth} bits a channel do not go with its colour mode")
    if composite.compression not in (RAW, PACKBITS):
        raise CannotRead(f"its composite has the compression {composite.compression}; 0 (none) and 1 (RLE) can be read")
    if composite.channels < composite.colours or (mode == INDEXED and len(composite.palette) < 768):
        raise Damaged(f"{composite.channels} channels are too few for its colours, or its palette is cut")


class Sections:
    """Reads the parts of the file one after the other. Raises `Damaged` if it ends too early."""

    def __init__(self, master: MasterReader) -> None:
        self._master = master
        self._length = master.seek(0, 2)
        self.position = 0

    def take(self, size: int) -> bytes:
        """Returns the next *size* bytes."""
        self._check(size)
        self._master.seek(self.position)
        data = self._master.read(size)
        self.position += size
        return data

    def section(self, code: str) -> bytes:
        """Returns a part with its length, of the `struct` format *code*, before it."""
        (size,) = struct.unpack(code, self.take(struct.calcsize(code)))
        if size > RESOURCES_MAX:
            raise TooLarge(
                f"a section of {size:,} bytes before its layers would be in memory, and {RESOURCES_MAX:,} are allowed: "
                "save it without metadata"
            )
        self._check(size)
        self._master.reserve(RESOURCE_COPIES * size)
        return self.take(size)

    def skip_layers(self, *, wide: bool) -> bool:
        """Returns True if the first channel after the colours is the composite's transparency. *wide* is a PSB.

        Photoshop says so by a negative number of layers, or by a block. The layers of files of 16 and 32 bits are in
        a block, too.
        """
        code = ">Q" if wide else ">I"
        (size,) = struct.unpack(code, self.take(struct.calcsize(code)))
        self._check(size)
        end = self.position + size
        try:
            return self._layers_are_negative(code, end) or any(
                key in TRANSPARENCY or (key in LAYERS and self._is_negative(at, size))
                for key, at, size in self._blocks(end, wide=wide)
            )
        finally:
            self.position = end

    def _layers_are_negative(self, code: str, end: int) -> bool:
        """Returns True if there is a negative number of layers. Goes to the blocks behind them and the global mask."""
        at = self.position
        for part in (code, ">I"):
            if at + struct.calcsize(part) > end:
                break
            self.position = at
            (size,) = struct.unpack(part, self.take(struct.calcsize(part)))
            if part is code and self._is_negative(self.position, size):
                return True
            at = self.position + size
        self.position = at
        return False

    def _is_negative(self, at: int, size: int) -> bool:
        """Returns True if the *size* bytes at *at* begin with a negative number."""
        if size < 2 or at + 2 > self._length:
            return False
        self._master.seek(at)
        return int.from_bytes(self._master.read(2), signed=True) < 0

    def _blocks(self, end: int, *, wide: bool) -> Iterator[tuple[bytes, int, int]]:
        """Yields name, position and size of the blocks of additional information up to *end*."""
        at = min(self.position, end)
        for _ in range(BLOCKS_MAX):
            self.position = at
            head = self.take(max(0, min(16, end - at)))
            key = head[4:8]
            if len(head) < 12 or head[:4] not in (b"8BIM", b"8B64"):
                return
            width = 8 if wide and key in LONG else 4
            size = int.from_bytes(head[8 : 8 + width])
            yield key, at + 8 + width, size
            at = min(at + 8 + width + size + -size % 4, end)

    def _check(self, size: int) -> None:
        if self.position + size > self._length:
            raise Damaged(f"the file ends at {self._length:,}; a part of {size:,} bytes begins at {self.position:,}")


def image_resources(data: bytes) -> dict[int, bytes]:
    """Returns the image resources by their numbers, the first of each. Damaged ones end the list."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 12 <= len(data) and data[at : at + 4] == b"8BIM":
        number = int.from_bytes(data[at + 4 : at + 6])
        at += 6 + (data[at + 6] + 2) // 2 * 2  # a name, with its length before it, of an even number of bytes
        size = int.from_bytes(data[at : at + 4])
        found.setdefault(number, data[at + 4 : at + 4 + size])
        at += 4 + size + size % 2
    return found
