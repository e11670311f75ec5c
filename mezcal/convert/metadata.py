"""What a derivative says about itself: just its profile, or the master's EXIF, XMP and IPTC made true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyvips

from mezcal.convert.pillow import exif_without

if TYPE_CHECKING:
    from mezcal.convert.loaded import Loaded
    from mezcal.convert.mezzanine import Choices

SEGMENT_MAX = 65_000  # bytes: what one JPEG segment holds, less its head


def noted(image: Any, loaded: Loaded, icc: bytes | None, choices: Choices) -> tuple[Any, str]:
    """A copy of *image* with just the metadata that is to stay, and libvips' `keep` for the encoder."""
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
        if loaded.dpi:
            image = image.copy(xres=loaded.dpi[0] / 25.4, yres=loaded.dpi[1] / 25.4)
        blobs |= {
            "exif": exif_without(loaded.exif, size=(image.width, image.height)) if loaded.exif else None,
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
