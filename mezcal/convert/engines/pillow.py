"""Pillow: the engine for formats that libvips is built without, and for a few kinds of TIFF.

It holds the whole picture, so `memory_limits` is asked first. It may try one format only: without that limit it runs
Ghostscript on every file that looks like PostScript.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

from mezcal.convert.engines import libvips, memory_limits, opening
from mezcal.convert.engines.decoded import CannotRead, Decoded, reported
from mezcal.convert.engines.row_stream import Strips
from mezcal.errors import TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.master_reader import MasterReader

STRIP_ROWS = 64
HEADER_MAX = 32 * 2**20  # bytes: profiles of old-style JPEG in TIFF are the largest parts
SMALL_HEADERS = {"BMP", "PPM", "QOI", "SGI", "TIFF"}  # Pillow reads these headers into Python objects
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


def load(name: str, master: MasterReader, check_size: Callable[[int, int], None], page: int = 0) -> Decoded:
    """Returns the decoded *master*, which must be of Pillow's format *name*. Raises `CannotRead` with Pillow's reason.

    *check_size* gets width and height before anything is decoded, and raises if they are too large.
    """
    master.seek(0)
    if name == "HEIF":
        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = opening.reserve(name, master)
            image = _open(name, master, page)
            check_size(image.width, image.height)
            memory_limits.check_pillow(name, master, image.size, image.mode, opened)
            return _decode(image)
    except (TooLarge, Undecodable, CannotRead):
        raise
    except Exception as error:
        words = libvips.first_line(f"{error}" or type(error).__name__)
        raise CannotRead(reported("Pillow", words)) from error


def _open(name: str, master: MasterReader, page: int) -> Image.Image:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # MAX_IMAGE_PIXELS of ours is checked instead
    try:
        with master.header_limit(HEADER_MAX if name in SMALL_HEADERS else None):
            image = Image.open(master, formats=[name])  # type: ignore[arg-type]
            if page:
                image.seek(page)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return image


def reduced_jpeg_2000(master: MasterReader, reduction: int) -> Decoded:
    """Returns a JPEG 2000, halved *reduction* times. The caller has checked its size and reserved the memory."""
    master.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _open("JPEG2000", master, 0)
            image.reduce = reduction  # type: ignore[method-assign, assignment]
            return _decode(image)
    except Exception as error:
        words = libvips.first_line(f"{error}" or type(error).__name__)
        raise CannotRead(reported("OpenJPEG", words)) from error


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
        failures=strips.failures,
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
