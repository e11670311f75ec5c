"""From a master to `Decoded`, by the engine that the table in `formats` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.convert.engines import libvips, memory_limits, pillow
from mezcal.convert.engines.decoded import CannotRead, Decoded
from mezcal.convert.engines.row_stream import FORMATS
from mezcal.convert.formats import LIBVIPS, PILLOW, TIFFFILE, Format
from mezcal.convert.jpeg import metadata
from mezcal.convert.pixels import ycbcr
from mezcal.convert.tiff import codecs, parallel
from mezcal.convert.tiff.pages import CIELAB, ICCLAB, WHITE_IS_ZERO, YCBCR, Page
from mezcal.errors import BadRecipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.master_reader import MasterReader

PEAKS = {"uchar": 255.0, "ushort": 65535.0}
COPIES = 3  # of a row of strips or tiles: tiles of 256 rows and 46 MB a row took 131 MB
BY_LINE = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000})  # what libtiff decodes line by line
PAGED = {"GIF", "WebP", "AVIF"}


def tiff_page(engine: str, master: MasterReader, page: Page) -> Decoded:
    """*page* of a TIFF by *engine*; `CannotRead` if that engine cannot."""
    if engine != PILLOW:  # which holds the picture whole, and says how much that is
        streams = engine == LIBVIPS and page.tile is None and page.compression in BY_LINE
        needed = 0 if streams else COPIES * page.row_bytes
        master.will_hold(max(needed, parallel.needed(page)) if engine == LIBVIPS else needed)
    opened = {LIBVIPS: _tiff_by_libvips, PILLOW: _tiff_by_pillow, TIFFFILE: _tiff_by_tifffile}[engine](master, page)
    if (opened.image.width, opened.image.height) != (page.width, page.height):
        raise CannotRead("the decoder finds another size than the header declares")
    return opened


def _tiff_by_libvips(master: MasterReader, page: Page) -> Decoded:
    options: dict[str, Any] = {"page": page.directory.index, "unlimited": True}
    if page.directory.sub is not None:
        options["subifd"] = page.directory.sub
    image = libvips.load("TIFF", master, **options)
    space = _space(image, page)
    if image.bands < {"grey": 1, "cmyk": 4}.get(space, 3):
        raise CannotRead(f"{image.bands} samples a pixel are too few")
    # libvips has inverted unsigned MinIsWhite, looked palettes up and divided colours by associated alpha
    inverted = page.photometric == WHITE_IS_ZERO and image.format in ("char", "short", "int", "float")
    image = _unsigned(image)
    plain = parallel.strips(master, page)
    if plain is not None and (plain.bands, FORMATS[plain.dtype.name]) != (image.bands, image.format):
        plain = None  # libvips takes them for something else
    peak = PEAKS.get(image.format)
    return Decoded(image, space, peak, page.alpha, inverted=inverted, plain=plain, **_notes(page))


def _unsigned(image: Any) -> Any:
    """Signed bytes taken as unsigned, bit by bit, which is how libtiff and every viewer show them."""
    return image.copy(format="uchar") if image.format == "char" else image


def _space(image: Any, page: Page) -> str:
    if page.photometric in (CIELAB, ICCLAB):
        return "lab"
    if image.interpretation == "xyz":
        return "xyz"
    if page.colours == 4:
        return "cmyk"
    palette_in_colour = page.photometric == 3 and image.bands >= 3
    return "rgb" if page.colours == 3 or palette_in_colour else "grey"


def _tiff_by_tifffile(master: MasterReader, page: Page) -> Decoded:
    strips = codecs.strips(master, page)
    image = _unsigned(strips.image())
    if page.photometric in (CIELAB, ICCLAB):
        return Decoded(_lab(image, page), "lab", alpha=page.alpha, failures=strips.failures, **_notes(page))
    if page.photometric == YCBCR and page.compression in ycbcr.PLAIN:
        return Decoded(ycbcr.rgb(image, page), "rgb", failures=strips.failures, **_notes(page))
    space = "rgb" if page.photometric == 3 else {1: "grey", 4: "cmyk"}.get(page.colours, "rgb")
    peak = PEAKS.get(image.format)
    if page.sample_format == 1 and page.depth <= 16 and len(set(page.depths)) == 1 and page.photometric != 3:
        peak = 2.0**page.depth - 1
    alpha = page.alpha + 2 if page.alpha and page.photometric == 3 else page.alpha
    return Decoded(
        image, space, peak, alpha, page.associated, page.photometric == WHITE_IS_ZERO,
        failures=strips.failures, **_notes(page),
    )  # fmt: skip


def _lab(image: Any, page: Page) -> Any:
    """8-bit LAB samples as libvips' floats: a and b are signed in CIELAB, offset by 128 in ICCLAB."""
    if image.format != "uchar":
        raise CannotRead("LAB of this depth")
    light, rest = image[0] * (100 / 255), image.extract_band(1, n=2)
    signed = rest - 128 if page.photometric == ICCLAB else (rest > 127).ifthenelse(rest - 256, rest)
    return light.bandjoin(signed).cast("float").copy(interpretation="lab")


def _tiff_by_pillow(master: MasterReader, page: Page) -> Decoded:
    if page.directory.sub is not None:
        raise CannotRead("a sub-directory in a layout that only Pillow reads")
    found = pillow.load("TIFF", master, _checked, page.directory.index)
    notes = _notes(page)
    return Decoded(found.image, found.space, found.peak, found.alpha, **notes)


def _checked(_width: int, _height: int) -> None:
    """A TIFF's size was checked when its header was read."""


def _notes(page: Page) -> dict[str, Any]:
    directory = page.directory
    return {
        "orientation": page.orientation,
        "dpi": page.dpi,
        "icc": directory.blob(34675),
        "xmp": directory.blob(700),
        "iptc": directory.blob(33723),
        "exif": metadata.exif_of(page),
    }


def picture(
    engine: str, kind: Format, master: MasterReader, page: int | None, check: Callable[[int, int], None], smaller: bool
) -> Decoded:
    """A master that is no TIFF, by *engine*; *check* and *smaller* are those of `pillow.load`."""
    if engine == PILLOW:
        if page not in (None, 1):
            raise BadRecipe(f"page {page} is asked for, and this kind of master has one")
        return pillow.load(kind.pillow, master, check, smaller=smaller)
    image = libvips.load(kind.name, master, **_paged(kind, master, page))
    check(image.width, image.height)
    memory_limits.check_libvips(kind.name, master, image.width, image.height, deep=image.format != "uchar")
    space = {"b-w": "grey", "grey16": "grey", "cmyk": "cmyk"}.get(image.interpretation, "rgb")
    return Decoded(
        image, space, PEAKS.get(image.format, 255.0), image.bands - 1 if image.hasalpha() else None,
        orientation=1 if kind.name == "AVIF" else _orientation(image), dpi=_dpi(image),
        icc=_field(image, "icc-profile-data"), exif=_field(image, "exif-data"),
        xmp=_field(image, "xmp-data"), iptc=_field(image, "iptc-data"),
    )  # fmt: skip


def _paged(kind: Format, master: MasterReader, page: int | None) -> dict[str, int]:
    if page is None:
        return {}
    count = 1
    if kind.name in PAGED:
        image = libvips.load(kind.name, master)
        count = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
    if page > count:
        raise BadRecipe(f"page {page} is asked for, and the master has {count}")
    return {"page": page - 1} if kind.name in PAGED else {}


def _field(image: Any, name: str) -> bytes | None:
    return bytes(image.get(name)) if image.get_typeof(name) else None


def _orientation(image: Any) -> int:
    value = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def _dpi(image: Any) -> tuple[float, float] | None:
    """Dots an inch; libvips says one pixel a millimetre where the file says nothing."""
    return None if image.xres == 1.0 == image.yres else (image.xres * 25.4, image.yres * 25.4)
