"""Photoshop files, PSD and PSB: the flattened composite, a few rows at a time.

The composite stands at the end of the file, plane after plane, as raw samples or as PackBits with the sizes of all
rows before it. Source: Adobe's "Photoshop File Formats Specification".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from mezcal.convert.engines.decoded import CannotRead, Damaged, Decoded
from mezcal.convert.engines.row_stream import Strips, rows_per_strip
from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader

BITMAP, GREY, INDEXED, RGB, CMYK, DUOTONE, LAB = 0, 1, 2, 3, 4, 8, 9
SPACES = {BITMAP: "grey", GREY: "grey", INDEXED: "rgb", RGB: "rgb", CMYK: "cmyk", DUOTONE: "grey", LAB: "lab"}
MODE_NAMES = {7: "multichannel"}
CHANNELS = {RGB: 3, CMYK: 4, LAB: 3}  # of the colours; others have one
RAW, PACKBITS = 0, 1
SIDE_MAX = {1: 30_000, 2: 300_000}  # pixels, by version
CHANNELS_MAX = 56
STRIP_BYTES = 2**20
ROW_TABLE_BYTES = 16  # for the place of each compressed row
PACKED_OVERHEAD = 1024  # bytes
PACKBITS_RUN = 128  # bytes of the longest: the last one of a row may go beyond its end
RESOURCES_MAX = 64 * 2**20  # bytes
RESOURCE_COPIES = 3
RESOLUTION, IPTC, ICC, EXIF, XMP = 1005, 1028, 1039, 1058, 1060


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


def load(master: MasterReader, check_size: Callable[[int, int], None]) -> Decoded:
    """Returns the composite. Raises `CannotRead` for kinds that have no colours, `Damaged` if it is cut.

    *check_size* gets width and height before anything is decoded.
    """
    composite = read_header(master)
    check_size(composite.width, composite.height)
    rows = PackedRows(composite) if composite.compression == PACKBITS else RawRows(composite)
    master.reserve(ROW_TABLE_BYTES * composite.planes * composite.height)
    strips = _strips(composite, rows)
    return _decoded(composite, strips)


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
    transparent = reader.skip_layers(">Q" if wide else ">I")
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
    if mode not in SPACES:
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

    def skip_layers(self, code: str) -> bool:
        """Returns True if the first channel after the colours is the composite's transparency.

        Photoshop says so by a negative number of layers.
        """
        (size,) = struct.unpack(code, self.take(struct.calcsize(code)))
        self._check(size)
        end, width = self.position + size, struct.calcsize(code)
        count = 0
        if size >= width + 2:
            layers, count = struct.unpack(f"{code}h", self.take(width + 2))
            count = count if layers else 0
        self.position = end
        return count < 0

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


class RawRows:
    """Samples that are not compressed."""

    def __init__(self, composite: Composite) -> None:
        self._composite = composite
        needed = composite.start + composite.planes * composite.height * composite.row_bytes
        length = composite.file.seek(0, 2)
        if needed > length:
            raise Damaged(f"its composite ends at {needed:,}, and the file at {length:,}")

    def read(self, channel: int, top: int, rows: int) -> bytes:
        """Returns the bytes of *rows* rows of *channel*."""
        composite = self._composite
        size = composite.row_bytes
        composite.file.seek(composite.start + (channel * composite.height + top) * size)
        return composite.file.read(rows * size)


class PackedRows:
    """Rows that are compressed by PackBits, each for itself."""

    def __init__(self, composite: Composite) -> None:
        self._composite = composite
        count, dtype = composite.planes * composite.height, np.dtype(">u4" if composite.wide else ">u2")
        composite.file.seek(composite.start)
        table = composite.file.read(count * dtype.itemsize)
        if len(table) < count * dtype.itemsize:
            raise Damaged("the file ends within the sizes of its rows")
        sizes = np.frombuffer(table, dtype)
        self._check_sizes(sizes)
        rows_start = composite.start + composite.channels * composite.height * dtype.itemsize
        self._offsets = rows_start + np.concatenate([[0], np.cumsum(sizes, dtype="i8")])
        needed, length = int(self._offsets[count]), composite.file.seek(0, 2)
        if needed > length:
            raise Damaged(f"its composite ends at {needed:,}, and the file at {length:,}")

    def _check_sizes(self, sizes: NDArray[Any]) -> None:
        """Raise `CannotRead` for the first row that takes more bytes than any encoder needs."""
        size = self._composite.row_bytes
        too_large = sizes > 2 * size + PACKED_OVERHEAD
        if too_large.any():
            row = int(np.argmax(too_large))
            raise CannotRead(f"row {row % self._composite.height} of {size} bytes takes {sizes[row]} when compressed")

    def read(self, channel: int, top: int, rows: int) -> bytes:
        """Returns the bytes of *rows* rows of *channel*. Raises `CannotRead` if one is damaged."""
        composite, first = self._composite, channel * self._composite.height + top
        begin = int(self._offsets[first])
        composite.file.seek(begin)
        data = composite.file.read(int(self._offsets[first + rows]) - begin)
        return b"".join(self._unpacked(data, begin, row) for row in range(first, first + rows))

    def _unpacked(self, data: bytes, begin: int, row: int) -> bytes:
        start, end = int(self._offsets[row]) - begin, int(self._offsets[row + 1]) - begin
        size = self._composite.row_bytes
        try:
            unpacked = bytes(imagecodecs.packbits_decode(data[start:end], out=size + PACKBITS_RUN))
        except imagecodecs.PackbitsError as error:
            raise CannotRead(f"row {row % self._composite.height}: {error}") from error
        if len(unpacked) < size:
            raise CannotRead(f"row {row % self._composite.height} holds {len(unpacked)} bytes of {size}")
        return unpacked[:size]


def _strips(composite: Composite, source: RawRows | PackedRows) -> Strips:
    dtype = np.dtype({1: "u1", 8: "u1", 16: "u2", 32: "f4"}[composite.depth])
    bands = 3 if composite.mode == INDEXED else composite.planes
    rows = rows_per_strip(composite.width * bands * dtype.itemsize, STRIP_BYTES)

    def fetch(index: int) -> NDArray[Any]:
        top = index * rows
        count = min(rows, composite.height - top)
        planes = [_samples(composite, source.read(plane, top, count), count) for plane in range(composite.planes)]
        stacked = planes[0] if composite.mode == INDEXED else np.stack(planes, axis=-1)
        return _without_matte(stacked, composite.peak) if composite.has_alpha else stacked

    return Strips(composite.width, composite.height, bands, dtype, rows, fetch)


def _samples(composite: Composite, data: bytes, rows: int) -> NDArray[Any]:
    """Returns *rows* rows of one channel, with colour numbers looked up."""
    if composite.depth == 1:  # 1 is black
        bits = np.unpackbits(np.frombuffer(data, "u1").reshape(rows, -1), axis=1)[:, : composite.width]
        return np.where(bits, 0, 255).astype("u1")
    stored = np.dtype({8: "u1", 16: ">u2", 32: ">f4"}[composite.depth])
    samples = np.frombuffer(data, stored).reshape(rows, composite.width)
    if composite.mode == INDEXED:
        looked_up: NDArray[Any] = np.frombuffer(composite.palette[:768], "u1").reshape(3, 256).T[samples]
        return looked_up
    samples = samples.astype(stored.newbyteorder("="), copy=False)
    return _as_srgb(samples) if composite.is_linear else samples


def _decoded(composite: Composite, strips: Strips) -> Decoded:
    image, resources, peak = strips.image(), composite.resources, float(composite.peak)
    if composite.mode == LAB:
        image, peak = _lab(image, peak), 255.0
    alpha = composite.colours if composite.has_alpha else None
    return Decoded(
        image, SPACES[composite.mode], peak, alpha, associated=alpha is not None, inverted=composite.mode == CMYK,
        dpi=_dpi(resources.get(RESOLUTION)), icc=None if composite.is_linear else resources.get(ICC),
        exif=resources.get(EXIF), xmp=resources.get(XMP), iptc=resources.get(IPTC), failures=strips.failures,
    )  # fmt: skip


def _lab(image: Any, peak: float) -> Any:
    """Returns libvips' floats. a* and b* have half the range added."""
    step = (peak + 1) / 256
    return (
        (image[0] * (100 / peak))
        .bandjoin([image[band] / step - 128 for band in (1, 2)])
        .cast("float")
        .copy(interpretation="lab")
    )


def _without_matte(planes: NDArray[Any], peak: int) -> NDArray[Any]:
    """Returns the colours as multiplied by alpha, the last channel. Photoshop stores them mixed with white instead."""
    colours, alpha = planes[..., :-1], planes[..., -1:]
    wide = np.float32 if planes.dtype.kind == "f" else np.int32
    mixed = np.maximum(colours.astype(wide) + alpha - wide(peak), 0)
    return np.concatenate([mixed.astype(planes.dtype), alpha], axis=-1)


def _as_srgb(light: NDArray[Any]) -> NDArray[Any]:
    """Returns linear light with sRGB's curve (IEC 61966-2-1): 32-bit files have no other."""
    light = np.clip(np.nan_to_num(light), 0, 1)
    curve: NDArray[Any] = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return curve.astype("f4")


def _dpi(data: bytes | None) -> tuple[float, float] | None:
    """Returns dots an inch: two fixed-point numbers, with two units of the display behind each."""
    if data is None or len(data) < 16:
        return None
    across, down = struct.unpack(">I4xI", data[:12])
    return across / 65536, down / 65536
