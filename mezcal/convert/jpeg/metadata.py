"""The metadata of a derivative: its profile, and the master's EXIF, XMP and IPTC if they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyvips
from PIL import Image

from mezcal.convert.tiff.header import directory_at

if TYPE_CHECKING:
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.options import ConversionOptions
    from mezcal.convert.tiff.header import Directory
    from mezcal.convert.tiff.pages import Page

EXIF, GPS = 0x8769, 0x8825  # the tags that lead to the two directories of EXIF
DROPPED = (0x0112, 0x0201, 0x0202, EXIF, GPS, 0xA005)  # orientation, thumbnail; directories are copied one by one
TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)  # description, maker, model .. copyright
VALUE_MAX = 4_096  # bytes; maker's notes are larger, and contain offsets into the file that they were written in
DPI_MAX = 65_535  # what JFIF holds
SEGMENT_MAX = 65_000  # bytes: what one JPEG segment holds, less its head


def with_metadata(
    image: Any, size: tuple[int, int], decoded: Decoded, icc: bytes | None, options: ConversionOptions
) -> tuple[Any, str]:
    """Returns a copy of *image* with only the metadata that is kept, and libvips' `keep` for the encoder.

    *size* is that of the upright picture, across and down.
    """
    image, dpi = image.copy(), decoded.upright_dpi
    for name in image.get_fields():
        if image.get_typeof(name) and name.split("-")[0] in (
            "exif",
            "xmp",
            "iptc",
            "icc",
            "photoshop",
            "orientation",
            "jpeg",
        ):
            image.remove(name)
    blobs = {"icc": icc}
    if options.keep_metadata:
        if dpi and all(0 < dots <= DPI_MAX for dots in dpi):
            image = image.copy(xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
        blobs |= {
            "exif": rewritten_exif(decoded.exif, size) if decoded.exif else None,
            "xmp": decoded.xmp if decoded.xmp and len(decoded.xmp) < SEGMENT_MAX else None,
            "iptc": photoshop_resource(decoded.iptc) if decoded.iptc and len(decoded.iptc) < SEGMENT_MAX else None,
        }
    fields = {"icc": "icc-profile-data", "exif": "exif-data", "xmp": "xmp-data", "iptc": "iptc-data"}
    kept = [name for name, data in blobs.items() if data]
    for name in kept:
        image.set_type(pyvips.GValue.blob_type, fields[name], blobs[name])
    return image, "|".join(kept) or "none"


def photoshop_resource(iptc: bytes) -> bytes:
    """Returns IPTC records as the image resource that a JPEG holds them in. Those of a JPEG are one already."""
    if iptc.startswith(b"Photoshop 3.0\0"):
        return iptc
    size = len(iptc)
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + size.to_bytes(4) + iptc + bytes(size % 2)


def rewritten_exif(data: bytes, size: tuple[int, int]) -> bytes | None:
    """Returns the EXIF block *data* without orientation and thumbnail, with *size* in pixels. None if it is broken."""
    exif, kept = Image.Exif(), Image.Exif()
    try:
        exif.load(data)
        for tag, value in exif.items():
            if tag not in DROPPED:
                kept[tag] = value
        for block in (EXIF, GPS):
            kept.get_ifd(block).update(exif.get_ifd(block))
        kept.get_ifd(EXIF).update({0xA002: size[0], 0xA003: size[1]})
        return kept.tobytes()
    except Exception:  # noqa: BLE001 - broken metadata is no reason to refuse the picture
        return None


def exif_of(page: Page) -> bytes | None:
    """Returns the tags of a TIFF *page* as an EXIF block. None if there are none, or if they are broken."""
    exif = Image.Exif()
    try:
        for tag in TEXTS:
            if value := _value(page.directory, tag):
                exif[tag] = value
        for block in (EXIF, GPS):
            if offset := page.directory.number(block, 0):
                tags = directory_at(page.directory.file, offset)
                exif.get_ifd(block).update({tag: value for tag in tags.entries if (value := _value(tags, tag))})
        return exif.tobytes() if len(exif) or exif.get_ifd(EXIF) or exif.get_ifd(GPS) else None
    except Exception:  # noqa: BLE001 - as above
        return None


def _value(directory: Directory, tag: int) -> Any:
    """Returns the tag's value as Pillow accepts it. None if it is missing or larger than `VALUE_MAX`."""
    entry = directory.entries.get(tag)
    if entry is None or entry.size > VALUE_MAX:
        return None
    if entry.kind in (2, 7):
        raw = directory.blob(tag) or b""
        return raw.rstrip(b"\0").decode("utf-8", "replace") if entry.kind == 2 else raw
    values = directory.values(tag)
    return values[0] if len(values) == 1 else values
