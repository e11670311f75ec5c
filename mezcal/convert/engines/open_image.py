"""Opens a master that is no TIFF, with one of the engines that `formats` lists for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.convert.engines import libvips, memory_limits, opening, pillow
from mezcal.convert.engines.decoded import Decoded
from mezcal.convert.engines.row_stream import PEAKS
from mezcal.convert.formats import IMAGECODECS, MEZCAL, PILLOW, Format
from mezcal.convert.jpeg2000 import engine as jpeg2000
from mezcal.convert.psd import engine as psd
from mezcal.errors import BadRecipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.master_reader import MasterReader

MULTI_PAGE = {"GIF", "WebP", "AVIF"}


def open_image(
    engine: str,
    image_format: Format,
    master: MasterReader,
    context: ConversionContext,
    check_size: Callable[[int, int], None],
) -> Decoded:
    """Returns *master* opened by *engine*. Raises `CannotRead` if that engine cannot, `BadRecipe` for a missing page.

    *check_size* gets width and height before anything is decoded, and raises if they are too large.
    """
    page = context.page
    if engine in (PILLOW, MEZCAL, IMAGECODECS) and page not in (None, 1):
        raise BadRecipe(f"page {page} is asked for, and this kind of master has one")
    if engine == MEZCAL:
        return psd.load(master, check_size)
    if engine == IMAGECODECS:
        edge = context.options.longest_side
        return jpeg2000.open_picture(master, check_size, edge=edge, smaller=context.options.oversize == "scale")
    if engine == PILLOW:
        return pillow.load(image_format.pillow_name, master, check_size)
    return _by_libvips(image_format.name, master, page, check_size)


def _by_libvips(name: str, master: MasterReader, page: int | None, check_size: Callable[[int, int], None]) -> Decoded:
    opened = opening.reserve(name, master)
    image = libvips.load(master, **_page_option(name, master, page))
    check_size(image.width, image.height)
    memory_limits.check_libvips(name, master, image.width, image.height, opened, deep=image.format != "uchar")
    space = {"b-w": "grey", "grey16": "grey", "cmyk": "cmyk"}.get(image.interpretation, "rgb")
    return Decoded(
        image, space, PEAKS.get(image.format, 255.0), image.bands - 1 if image.hasalpha() else None,
        orientation=1 if name == "AVIF" else _orientation(image), dpi=_dpi(image),
        icc=_field(image, "icc-profile-data"), exif=_field(image, "exif-data"),
        xmp=_field(image, "xmp-data"), iptc=_field(image, "iptc-data"),
    )  # fmt: skip


def _page_option(name: str, master: MasterReader, page: int | None) -> dict[str, int]:
    """Returns libvips' option for *page*, which it counts from 0. Raises `BadRecipe` if there is no such page."""
    if page is None:
        return {}
    count = 1
    if name in MULTI_PAGE:
        image = libvips.load(master)
        count = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
    if page > count:
        raise BadRecipe(f"page {page} is asked for, and the master has {count}")
    return {"page": page - 1} if name in MULTI_PAGE else {}


def _field(image: Any, name: str) -> bytes | None:
    return bytes(image.get(name)) if image.get_typeof(name) else None


def _orientation(image: Any) -> int:
    value = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def _dpi(image: Any) -> tuple[float, float] | None:
    """Returns dots an inch. libvips says one pixel a millimetre where the file says nothing."""
    return None if image.xres == 1.0 == image.yres else (image.xres * 25.4, image.yres * 25.4)
