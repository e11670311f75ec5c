"""Opens a page of a TIFF, with one of the engines that `formats` lists for its mode."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from mezcal.convert.engines import libvips, pillow
from mezcal.convert.engines.decoded import CannotRead, Decoded
from mezcal.convert.engines.row_stream import PEAKS, VIPS_FORMATS
from mezcal.convert.formats import LIBVIPS, PILLOW, TIFFFILE
from mezcal.convert.jpeg import metadata
from mezcal.convert.master_reader import PatchedReader
from mezcal.convert.pixels import ycbcr
from mezcal.convert.tiff import codecs, memory, parallel_layouts
from mezcal.convert.tiff.header import CODES
from mezcal.convert.tiff.pages import ICCLAB, ITULAB, LABS, PALETTE, WHITE_IS_ZERO, YCBCR, Page

if TYPE_CHECKING:
    from mezcal.convert.master_reader import MasterReader

ITU_RANGES = ((128, 170), (96, 200))  # of a* and b*: the 8-bit number of 0, and the width of the range
SPACES = {1: "grey", 4: "cmyk"}  # by colour bands; others are rgb


def open_tiff_page(engine: str, master: MasterReader, page: Page) -> Decoded:
    """Returns *page* opened by *engine*. Raises `CannotRead` if that engine cannot."""
    if engine != PILLOW:  # Pillow holds the whole picture and reserves the memory for it
        master.reserve(memory.memory_needed(engine, master, page))
    open_page = {LIBVIPS: _by_libvips, PILLOW: _by_pillow, TIFFFILE: _by_tifffile}[engine]
    decoded = open_page(master, page)
    if (decoded.image.width, decoded.image.height) != (page.width, page.height):
        raise CannotRead("the decoder finds another size than the header declares")
    return decoded


def _by_libvips(master: MasterReader, page: Page) -> Decoded:
    options: dict[str, Any] = {"page": page.directory.index, "unlimited": True}
    if page.directory.sub is not None:
        options["subifd"] = page.directory.sub
    image = libvips.load(_without_planes_of_one(master, page), **options)
    space = _libvips_space(image, page)
    if image.bands < {"grey": 1, "cmyk": 4}.get(space, 3):
        raise CannotRead(f"{image.bands} samples a pixel are too few")
    # libvips has inverted unsigned MinIsWhite, looked palettes up and divided colours by associated alpha
    inverted = page.photometric == WHITE_IS_ZERO and image.format in ("char", "short", "int", "float")
    image = _unsigned(image)
    strips = parallel_layouts.open_strips(master, page)
    if strips is not None and (strips.bands, VIPS_FORMATS[strips.dtype.name]) != (image.bands, image.format):
        strips = None  # libvips reads other samples
    peak = PEAKS.get(image.format)
    return Decoded(image, space, peak, page.alpha, inverted=inverted, parallel_strips=strips, **_metadata(page))


def _without_planes_of_one(master: MasterReader, page: Page) -> MasterReader:
    """Returns *master* with PlanarConfiguration 1 if the page has a single sample.

    2 means the same then, but libvips refuses such tiles and makes noise of such strips of less than 8 bits.
    """
    entry = page.directory.entries.get(284)
    if entry is None or page.samples != 1 or page.planar_tag != 2:
        return master
    return PatchedReader(master, entry.offset, struct.pack(page.directory.file.order + CODES[entry.kind], 1))


def _unsigned(image: Any) -> Any:
    """Returns signed bytes as unsigned, bit by bit, as libtiff and every viewer show them."""
    return image.copy(format="uchar") if image.format == "char" else image


def _libvips_space(image: Any, page: Page) -> str:
    if page.photometric in LABS:
        return "lab"
    if image.interpretation == "xyz":
        return "xyz"
    if page.colours == 4:
        return "cmyk"
    palette_in_colour = page.photometric == PALETTE and image.bands >= 3
    return "rgb" if page.colours == 3 or palette_in_colour else "grey"


def _by_tifffile(master: MasterReader, page: Page) -> Decoded:
    strips = codecs.open_strips(master, page)
    image = _unsigned(strips.image())
    if page.photometric in LABS:
        return Decoded(
            _lab(image, page), "lab", 255, None if page.alpha is None else 3, page.associated,
            failures=strips.failures, **_metadata(page),
        )  # fmt: skip
    if page.photometric == YCBCR and page.compression in ycbcr.PLAIN:
        return Decoded(ycbcr.rgb(image, page), "rgb", failures=strips.failures, **_metadata(page))
    palette = page.photometric == PALETTE
    space = "rgb" if palette else SPACES.get(page.colours, "rgb")
    peak = PEAKS.get(image.format)
    if page.sample_format == 1 and page.depth <= 16 and len(set(page.depths)) == 1 and not palette:
        peak = 2.0**page.depth - 1
    alpha = page.alpha + 2 if page.alpha and palette else page.alpha
    return Decoded(
        image, space, peak, alpha, page.associated, page.photometric == WHITE_IS_ZERO,
        failures=strips.failures, **_metadata(page),
    )  # fmt: skip


def _lab(image: Any, page: Page) -> Any:
    """Returns libvips' floats: L* from 0 to 100, a*, b*, and alpha from 0 to 255 if there is one.

    In 16 bits, the white of ICCLAB is 0xff00 (ICC.1:1998-09, as TIFF's supplement 2 says), that of CIELAB 0xffff.
    Floats have their values as they are.
    """
    if (image.format, page.depth) not in {("uchar", 8), ("short", 16), ("ushort", 16), ("float", page.depth)}:
        raise CannotRead(f"LAB of {page.depth} bits")
    if image.bands < page.samples:
        raise CannotRead(f"LAB of {page.samples} samples, of which the data hold {image.bands}")
    image = image.copy(format="ushort") if image.format == "short" else image
    wide = image.format == "ushort"
    light, peak = image[0], {"uchar": 255, "ushort": 65535}.get(image.format, 1)
    if image.format != "float":
        light *= 100 / (65280 if wide and page.photometric == ICCLAB else peak)
    bands = [light, *(_opponent(image, band, page) for band in (1, 2))]
    if page.alpha is not None:
        bands.append(image[page.alpha] * (255 / peak))
    return bands[0].bandjoin(bands[1:]).cast("float").copy(interpretation="lab")


def _opponent(image: Any, band: int, page: Page) -> Any:
    """Returns a* (*band* 1) or b* (2).

    Both are signed in CIELAB, and have 128 added in ICCLAB. ITULAB has a range for each (ITU-T T.42, RFC 3949).
    """
    if page.colours == 1:
        return image[0] * 0
    if image.format == "float":
        return image[band]
    if page.photometric == ITULAB:
        zero, width = ITU_RANGES[band - 1]
        return image[band] * (width / PEAKS[image.format]) - zero * width / 255
    step = 256 if image.format == "ushort" else 1
    value = image[band] / step
    return value - 128 if page.photometric == ICCLAB else (value >= 128).ifthenelse(value - 256, value)


def _by_pillow(master: MasterReader, page: Page) -> Decoded:
    if page.directory.sub is not None:
        raise CannotRead("a sub-directory in a layout that only Pillow reads")
    decoded = pillow.load("TIFF", master, _checked_already, page.directory.index)
    return Decoded(
        decoded.image, decoded.space, decoded.peak, decoded.alpha, failures=decoded.failures, **_metadata(page)
    )


def _checked_already(_width: int, _height: int) -> None:
    """Return at once: a TIFF's size is checked when its header is read."""


def _metadata(page: Page) -> dict[str, Any]:
    directory = page.directory
    return {
        "orientation": page.orientation,
        "dpi": page.dpi,
        "icc": directory.blob(34675),
        "xmp": directory.blob(700),
        "iptc": directory.blob(33723),
        "exif": metadata.exif_of(page),
        "nodata": page.nodata,
    }
