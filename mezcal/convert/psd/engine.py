"""Photoshop files, PSD and PSB: the flattened composite, a few rows at a time.

The composite stands at the end of the file, plane after plane, as raw samples or as PackBits with the sizes of all
rows before it. Source: Adobe's "Photoshop File Formats Specification".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from mezcal.convert.engines.decoded import CannotRead, Damaged, Decoded
from mezcal.convert.engines.row_stream import Strips, rows_per_strip
from mezcal.convert.psd.header import (
    BITMAP,
    CMYK,
    DUOTONE,
    GREY,
    ICC,
    INDEXED,
    LAB,
    PACKBITS,
    RGB,
    Composite,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader

SPACES = {BITMAP: "grey", GREY: "grey", INDEXED: "rgb", RGB: "rgb", CMYK: "cmyk", DUOTONE: "grey", LAB: "lab"}
STRIP_BYTES = 2**20
ROW_TABLE_BYTES = 16  # for the place of each compressed row
PACKED_OVERHEAD = 1024  # bytes
PACKBITS_RUN = 128  # bytes of the longest: the last one of a row may go beyond its end
RESOLUTION, IPTC, EXIF, XMP = 1005, 1028, 1058, 1060  # resources


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
        stacked = _without_matte(stacked, composite.peak) if composite.has_alpha else stacked
        return _as_srgb(stacked, composite.colours) if composite.is_linear else stacked

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
    return samples.astype(stored.newbyteorder("="), copy=False)


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


def _as_srgb(planes: NDArray[Any], colours: int) -> NDArray[Any]:
    """Returns linear light with sRGB's curve (IEC 61966-2-1): 32-bit files have no other.

    Alpha, which has none, is kept. The colours are multiplied by it before and after.
    """
    planes = np.clip(np.nan_to_num(planes), 0, 1)
    light, alpha = planes[..., :colours], planes[..., colours:]
    if alpha.shape[-1]:
        light = np.clip(np.divide(light, alpha, out=np.zeros_like(light), where=alpha > 0), 0, 1)
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    if alpha.shape[-1]:
        curve = np.concatenate([curve * alpha, alpha], axis=-1)
    return curve.astype("f4")


def _dpi(data: bytes | None) -> tuple[float, float] | None:
    """Returns dots an inch: two fixed-point numbers, with two units of the display behind each."""
    if data is None or len(data) < 16:
        return None
    across, down = struct.unpack(">I4xI", data[:12])
    return across / 65536, down / 65536
