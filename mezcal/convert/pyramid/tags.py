"""The tags of a level: size, resolution, profile, and the master's metadata if they are kept."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from mezcal.convert.jpeg import metadata
from mezcal.convert.pyramid.directories import Field, longs, rationals, shorts
from mezcal.convert.tiff.header import CODES, BadTiff, TiffFile, directory_at

if TYPE_CHECKING:
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.pyramid.levels import Level
    from mezcal.convert.tiff.header import TagEntry

Dpi = tuple[float, float]
SUBFILE_TYPE, WIDTH, HEIGHT, BITS, SAMPLES, PLANAR = 254, 256, 257, 258, 277, 284
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH = 282, 283, 296, 2
TILE_WIDTH, TILE_HEIGHT = 322, 323
XMP, IPTC, IMAGE_RESOURCES, PROFILE = 700, 33723, 34377, 34675
REDUCED = 1  # subfile type
UNDEFINED = 7  # type of a field
RESOURCES_START = b"Photoshop 3.0\0"  # before IPTC records as a JPEG holds them
DPI_MAX = 2**31 / 10_000  # a larger numerator does not fit
EXIF_START = len(b"Exif\0\0")


def picture_fields(level: Level, bands: int, depth: int) -> list[Field]:
    """Returns what every reader needs of *level*."""
    return [
        longs(SUBFILE_TYPE, REDUCED if level.index else 0),
        longs(WIDTH, level.width),
        longs(HEIGHT, level.height),
        shorts(BITS, *[depth] * bands),
        shorts(SAMPLES, bands),
        shorts(PLANAR, 1),
        longs(TILE_WIDTH, level.tile),
        longs(TILE_HEIGHT, level.tile),
    ]


def profile_field(icc: bytes | None) -> list[Field]:
    """Returns the profile, if there is one. All levels share its bytes."""
    return [Field(PROFILE, UNDEFINED, len(icc), icc)] if icc else []


def resolution_fields(level: Level, dpi: Dpi | None) -> list[Field]:
    """Returns the resolution of *level*: the size on paper is the same for all levels. *dpi* is that of the largest."""
    if not dpi or not all(1 <= dots <= DPI_MAX for dots in dpi):
        return []
    across, down = (dots / 2**level.index for dots in dpi)
    return [rationals(X_RESOLUTION, across), rationals(Y_RESOLUTION, down), shorts(RESOLUTION_UNIT, INCH)]


def metadata_fields(decoded: Decoded) -> list[Field]:
    """Returns the master's XMP and IPTC, unless they are as large as no JPEG could hold them."""
    fields = []
    if decoded.xmp and len(decoded.xmp) < metadata.SEGMENT_MAX:
        fields.append(Field(XMP, 1, len(decoded.xmp), decoded.xmp))
    if decoded.iptc and len(decoded.iptc) < metadata.SEGMENT_MAX:
        tag = IMAGE_RESOURCES if decoded.iptc.startswith(RESOURCES_START) else IPTC
        data = decoded.iptc.removeprefix(RESOURCES_START)
        fields.append(Field(tag, UNDEFINED, len(data), data))
    return fields


def exif_fields(decoded: Decoded, size: tuple[int, int]) -> tuple[list[Field], dict[int, list[Field]]]:
    """Returns the texts of the master's EXIF block, and its two directories by the tags that lead to them.

    *size* is that of the upright picture.
    """
    block = metadata.rewritten_exif(decoded.exif, size) if decoded.exif else None
    if block is None:
        return [], {}
    data = block[EXIF_START:]
    texts = _fields_at(data, int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big"))
    below = {
        one.tag: _fields_at(data, int.from_bytes(one.data, "little"))  # `_fields_at` has made them so
        for one in texts
        if one.tag in (metadata.EXIF, metadata.GPS)
    }
    return [one for one in texts if one.tag in metadata.TEXTS], {tag: fields for tag, fields in below.items() if fields}


def _fields_at(data: bytes, start: int) -> list[Field]:
    """Returns the fields of the directory at *start* of the TIFF *data*. None if it is empty, as Pillow writes some."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        entries = directory_at(TiffFile(io.BytesIO(data), len(data), order, big=False), start).entries
    except BadTiff:
        return []
    return [
        Field(tag, entry.kind, entry.count, _little_endian(data[entry.offset :], order, entry))
        for tag, entry in entries.items()
        if entry.kind in CODES
    ]


def _little_endian(data: bytes, order: str, entry: TagEntry) -> bytes:
    """Returns the values of *entry*, with which *data* begins."""
    code = f"{entry.size // struct.calcsize(CODES[entry.kind])}{CODES[entry.kind]}"
    return struct.pack(f"<{code}", *struct.unpack_from(order + code, data))
