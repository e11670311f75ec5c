"""Writes a section as a FITS file: the frame's own pixel values and header, with coordinates that fit the section."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.coordinates import TABLES
from mezcal.convert.fits.read.mosaic import Mosaic
from mezcal.convert.fits.read.planes import blocks
from mezcal.errors import NoSuchSection
from mezcal.runtime import memory_budget

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.fits.cutout.section import Section
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.convert.fits.read.planes import Pixels

COPIES = 4  # of the section's pixels, while they are compressed and written
TILE_ROWS = 64
KEPT_COMPRESSIONS = ("RICE_1", "GZIP_1", "GZIP_2")  # of integers, without loss
FLOAT_COMPRESSION = "GZIP_2"  # without loss: floats that are quantised again would get more noise
CHECKSUMS = ("CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM")
SECTIONS = ("DATASEC", "TRIMSEC", "BIASSEC", "CCDSEC", "DETSEC", "AMPSEC")  # they count the frame's pixels
SCALING = ("BSCALE", "BZERO", "BLANK", "ZBLANK")  # the pixels are written as they are
REFERENCE = re.compile(r"CRPIX([12])[A-Z]?")
OTHER_AXES = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CNAME|CROTA|CRDER|CSYER|NAXIS)[3-9][A-Z]?|(CD|PC)([3-9]_.|._[3-9])[A-Z]?|PV[3-9]_.*"
)


def write_section(frame: FitsFrame, section: Section, target: Path, context: ConversionContext) -> None:
    """Write *section* of *frame* to *target*, compressed in tiles if the frame is. Pixels outside of it are NaN.

    Raises `NoSuchSection` if the section is of no single picture.
    """
    _check_single(frame)
    plane = frame.plane
    needed = COPIES * 8 * section.width * section.height + plane.decoding_bytes + plane.block_bytes()
    context.reserve_memory(max(memory_budget.STREAMING, memory_budget.SMALL + frame.header_bytes + needed))
    pixels = _pixels(frame, section)
    header = section_header(frame.header.own, section)
    hdus = _hdus(frame, pixels, header)
    hdus.writeto(target, overwrite=True, checksum=True, output_verify="silentfix+ignore")


def _check_single(frame: FitsFrame) -> None:
    if isinstance(frame.plane, Mosaic):
        raise NoSuchSection("the frame's amplifiers are joined in pictures only: name one amplifier by hdu")
    if frame.colours:
        raise NoSuchSection("the frame has three colours: name one of them by plane, from 1 to 3")


def _pixels(frame: FitsFrame, section: Section) -> Pixels:
    """Returns the section's pixels with their values. Integers become floats if some are outside of the frame."""
    rows, columns = frame.plane.shape
    left, right = max(0, section.left), min(section.left + section.width, columns)
    first, last = max(0, section.bottom), min(section.bottom + section.height, rows)
    plane = frame.plane.for_rows(first, last)
    pixels: Pixels | None = None
    for start, stop in blocks(last - first, plane.block_height()):
        block = plane.window((first + start, first + stop), (left, right))
        if pixels is None:
            whole = section.covered(frame.plane.shape) == 1
            pixels = _empty((section.height, section.width), block.dtype, whole=whole)
        below, before = first - section.bottom + start, left - section.left
        pixels[below : below + stop - start, before : before + right - left] = block
    assert pixels is not None, "a section that covers no pixel was refused"
    return pixels


def _empty(shape: tuple[int, int], dtype: np.dtype[Any], *, whole: bool) -> Pixels:
    if whole:
        return np.empty(shape, dtype.newbyteorder("="))
    is_float = dtype.kind == "f"
    return np.full(
        shape, np.nan, dtype.newbyteorder("=") if is_float else np.float32 if dtype.itemsize < 4 else np.float64
    )


def section_header(header: Any, section: Section) -> Any:
    """Returns the *header* of a frame for a *section* of it.

    CRPIX of every description of the coordinates is moved. LTV and LTM are IRAF's: the place of the section's pixels in
    the frame. Cards that would be wrong are left out: checksums, sections, scaling, other axes, and tables of
    distortion, which are in other HDUs.
    """
    cut = header.copy()
    for name in {*CHECKSUMS, *SECTIONS, *SCALING, *filter(_is_left_out, set(cut))}:
        cut.remove(name, ignore_missing=True, remove_all=True)
    corner = section.left, section.bottom
    for axis in (1, 2):
        if f"CTYPE{axis}" in cut:
            cut.setdefault(f"CRPIX{axis}", 0.0)
    for name in [name for name in cut if REFERENCE.fullmatch(name)]:
        cut[name] = float(cut[name]) - corner[int(name[5]) - 1]
    for axis, moved in enumerate(corner, 1):
        cut[f"LTV{axis}"] = float(cut.get(f"LTV{axis}", 0.0)) - moved
        cut.setdefault(f"LTM{axis}_{axis}", 1.0)
    if int(cut.get("WCSAXES", 2)) > 2:
        cut["WCSAXES"] = 2
    cut.add_history(f"mezcal: section {section} of the frame")
    return cut


def _is_left_out(name: str) -> bool:
    return bool(TABLES.fullmatch(name) or OTHER_AXES.fullmatch(name))


def _hdus(frame: FitsFrame, pixels: Pixels, header: Any) -> Any:
    """Returns the section where the frame has its picture: in the first HDU, or in an extension behind its header."""
    if frame.compression is not None:
        kind = frame.compression if pixels.dtype.kind in "iu" else FLOAT_COMPRESSION
        kind = kind if kind in KEPT_COMPRESSIONS else KEPT_COMPRESSIONS[0]
        tile = min(TILE_ROWS, pixels.shape[0]), pixels.shape[1]
        picture = fits.CompImageHDU(pixels, header, compression_type=kind, tile_shape=tile, quantize_level=0)
    elif frame.header.own is frame.header.primary:
        return fits.HDUList([fits.PrimaryHDU(pixels, header)])
    else:
        picture = fits.ImageHDU(pixels, header)
    primary = frame.header.primary.copy()
    for name in CHECKSUMS:
        primary.remove(name, ignore_missing=True, remove_all=True)
    return fits.HDUList([fits.PrimaryHDU(None, primary), picture])
