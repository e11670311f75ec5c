"""What a derivative says about itself: just its profile, or the master's EXIF, XMP and IPTC made true."""

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

Dpi = tuple[float, float]
EXIF, GPS = 0x8769, 0x8825  # the tags that lead to the two directories of EXIF
STALE = (0x0112, 0x0201, 0x0202, EXIF, GPS, 0xA005)  # orientation, thumbnail; directories are copied apart
TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)  # description, maker, model .. copyright
VALUE_MAX = 4_096  # bytes; maker's notes are larger, and point into the file they came from
DPI_MAX = 65_535  # what JFIF holds
SEGMENT_MAX = 65_000  # bytes: what one JPEG segment holds, less its head


def noted(
    image: Any, size: tuple[int, int], dpi: Dpi | None, loaded: Decoded, icc: bytes | None, choices: ConversionOptions
) -> tuple[Any, str]:
    """A copy of *image* with just the metadata that is to stay, and libvips' `keep` for the encoder.

    *size* and *dpi* are those of the picture as it is shown, across and down.
    """
    image = image.copy()
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
    if choices.keep_metadata:
        if dpi and all(0 < dots <= DPI_MAX for dots in dpi):
            image = image.copy(xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
        blobs |= {
            "exif": exif_without(loaded.exif, size) if loaded.exif else None,
            "xmp": loaded.xmp if loaded.xmp and len(loaded.xmp) < SEGMENT_MAX else None,
            "iptc": photoshop(loaded.iptc) if loaded.iptc and len(loaded.iptc) < SEGMENT_MAX else None,
        }
    fields = {"icc": "icc-profile-data", "exif": "exif-data", "xmp": "xmp-data", "iptc": "iptc-data"}
    kept = [name for name, data in blobs.items() if data]
    for name in kept:
        image.set_type(pyvips.GValue.blob_type, fields[name], blobs[name])
    return image, "|".join(kept) or "none"


def photoshop(iptc: bytes) -> bytes:
    """IPTC records as the image resource that JPEG keeps them in; those of a JPEG are one already."""
    if iptc.startswith(b"Photoshop 3.0\0"):
        return iptc
    size = len(iptc)
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + size.to_bytes(4) + iptc + bytes(size % 2)


def exif_without(data: bytes, size: tuple[int, int]) -> bytes | None:
    """The EXIF block *data* less orientation and thumbnail, with *size* in pixels; None if it is broken."""
    exif, kept = Image.Exif(), Image.Exif()
    try:
        exif.load(data)
        for tag, value in exif.items():
            if tag not in STALE:
                kept[tag] = value
        for block in (EXIF, GPS):
            kept.get_ifd(block).update(exif.get_ifd(block))
        kept.get_ifd(EXIF).update({0xA002: size[0], 0xA003: size[1]})
        return kept.tobytes()
    except Exception:  # noqa: BLE001 - a broken note is no reason to refuse the picture
        return None


def exif_of(page: Page) -> bytes | None:
    """The EXIF block that the tags of a TIFF *page* make; None if there is nothing to note."""
    exif = Image.Exif()
    try:
        for tag in TEXTS:
            if value := _value(page.directory, tag):
                exif[tag] = value
        for block in (EXIF, GPS):
            if at := page.directory.number(block, 0):
                noted = directory_at(page.directory.reader, at)
                exif.get_ifd(block).update({tag: value for tag in noted.entries if (value := _value(noted, tag))})
        return exif.tobytes() if len(exif) or exif.get_ifd(EXIF) or exif.get_ifd(GPS) else None
    except Exception:  # noqa: BLE001 - as above
        return None


def _value(directory: Directory, tag: int) -> Any:
    """The tag's value as Pillow takes it; None for what is too large to be a note."""
    entry = directory.entries.get(tag)
    if entry is None or entry.size > VALUE_MAX:
        return None
    if entry.kind in (2, 7):
        raw = directory.blob(tag) or b""
        return raw.rstrip(b"\0").decode("utf-8", "replace") if entry.kind == 2 else raw
    values = directory.values(tag)
    return values[0] if len(values) == 1 else values
