"""Pillow: the engine for formats that libvips is built without, and for a few kinds of TIFF.

It holds the whole picture, so `memory_limits` is asked first. It may try one format only: without that limit it runs
Ghostscript on every file that looks like PostScript.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

from mezcal.convert.engines import jp2, libvips, memory_limits
from mezcal.convert.engines.decoded import CannotRead, Decoded, reported
from mezcal.convert.engines.row_stream import Strips
from mezcal.errors import TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.master_reader import MasterReader

STRIP_ROWS = 64
SPACES = {
    "L": "grey",
    "LA": "grey",
    "RGB": "rgb",
    "RGBA": "rgb",
    "CMYK": "cmyk",
    "I;16": "grey",
    "F": "grey",
    "I": "grey",
}


def load(
    name: str, master: MasterReader, check_size: Callable[[int, int], None], page: int = 0, *, smaller: bool = False
) -> Decoded:
    """Returns the decoded *master*, which must be of Pillow's format *name*. Raises `CannotRead` with Pillow's reason.

    *check_size* gets width and height before anything is decoded, and raises if they are too large. With *smaller*, a
    picture that takes too much memory is decoded in a smaller size, if its format contains one.
    """
    master.seek(0)
    if name == "HEIF":
        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _open(name, master, page)
            check_size(image.width, image.height)
            if name == "JPEG2000":
                return _jpeg_2000(image, master, smaller)
            memory_limits.check_pillow(name, master, image.size, image.mode)
            return _decode(image)
    except (TooLarge, Undecodable, CannotRead):
        raise
    except Exception as error:
        words = libvips.first_line(f"{error}" or type(error).__name__)
        raise CannotRead(reported("Pillow", words)) from error


def _open(name: str, master: MasterReader, page: int) -> Image.Image:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # MAX_IMAGE_PIXELS of ours is checked instead
    try:
        image = Image.open(master, formats=[name])  # type: ignore[arg-type]
        if page:
            image.seek(page)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return image


def _jpeg_2000(image: Image.Image, master: MasterReader, smaller: bool) -> Decoded:
    full_size = image.size
    reduction = memory_limits.jpeg_2000_reduction(master, full_size, image.mode, allowed=smaller)
    image.reduce = reduction  # type: ignore[method-assign, assignment]
    return replace(_decode(image), icc=jp2.profile(master), full_size=full_size)


def _decode(image: Image.Image) -> Decoded:
    info = dict(image.info)
    exif = image.getexif()
    orientation = exif.get(274, 1)
    image.load()
    image = _with_known_mode(image)
    strips = _strips(image)
    return Decoded(
        image=strips.image(),
        space=SPACES[image.mode],
        peak={"uint8": 255, "uint16": 65535}.get(strips.dtype.name),
        alpha={"LA": 1, "RGBA": 3}.get(image.mode),
        orientation=orientation if orientation in range(1, 9) else 1,
        dpi=_dpi(info.get("dpi")),
        icc=info.get("icc_profile"),
        exif=exif.tobytes() or None,
        xmp=info.get("xmp") if isinstance(info.get("xmp"), bytes) else None,
    )


def _with_known_mode(image: Image.Image) -> Image.Image:
    """Returns the picture in a mode of `SPACES`. Raises `CannotRead` if its mode has no meaning as colours."""
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "I" and image.format in ("PPM", "PNG", "JPEG2000"):
        return Image.fromarray(np.asarray(image).clip(0, 65535).astype("uint16"))
    if image.mode in ("I;16B", "I;16L", "I;16N"):
        return Image.fromarray(np.asarray(image).astype("uint16"))
    if image.mode in ("LAB", "YCbCr", "HSV", "PA", "La", "RGBa", "RGBX"):
        return _to_rgb(image)
    if image.mode not in SPACES:
        raise CannotRead(f"Pillow's mode {image.mode} has no meaning as colours")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    return image.convert({"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB"))


def _strips(image: Image.Image) -> Strips:
    """Returns the picture in strips: a copy of the whole would take as much memory again."""

    def fetch(index: int) -> Any:
        top = index * STRIP_ROWS
        rows = np.asarray(image.crop((0, top, image.width, min(top + STRIP_ROWS, image.height))))
        return rows if rows.ndim == 3 else rows[..., None]

    first = fetch(0)
    return Strips(image.width, image.height, first.shape[2], first.dtype, STRIP_ROWS, fetch)


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        return (float(value[0]), float(value[1])) if value else None
    except (TypeError, ValueError, ZeroDivisionError):
        return None
