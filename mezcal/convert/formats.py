"""The tables of the input formats and TIFF modes, and how each is decoded. docs/formats.md is generated from them.

A new input format needs:
1. a row in `FORMATS`, and its first bytes in `MAGIC` (a kind of TIFF: a row in `MODES`, before those that match too);
2. for libvips: its loader in `LOADERS` of engines/libvips.py; files with several pages: `MULTI_PAGE` of
   engines/open_image.py;
3. its memory: bytes a pixel in engines/memory_limits.py if the decoder holds the picture whole, and what it takes to
   open the file in engines/opening.py; a row in docs/memory.md, and a master in tests/support/large_claims.py;
4. a master in tools/tiny_masters.py, its row in `PICTURES` of tools/formats_table.py, then
   `python -m tools.draw_formats` and `make docs`.

Formats that are written are in encoders.py; recipe/profile.py has their extensions and media types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.convert.tiff.pages import CIELAB, LABS, LOGL, LOGLUV, PALETTE, SEPARATED, YCBCR

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.tiff.pages import Page

LIBVIPS, PILLOW, TIFFFILE, IMAGECODECS, MEZCAL = "libvips", "Pillow", "tifffile", "imagecodecs", "mezcal"


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: its name, its engines in their order, one line for docs/formats.md, and Pillow's name for it."""

    name: str
    engines: tuple[str, ...]
    treatment: str
    pillow_name: str = ""


@dataclass(frozen=True, slots=True)
class Mode:
    """A kind of TIFF page. A page belongs to the first mode that *matches* it.

    A mode without engines is refused, and *treatment* is the reason.
    """

    name: str
    matches: Callable[[Page], bool]
    engines: tuple[str, ...]
    treatment: str


FORMATS = {
    image_format.name: image_format
    for image_format in (
        Format("TIFF", (), "by mode: the table of TIFF modes"),
        Format(
            "JPEG",
            (LIBVIPS, PILLOW),
            "decoded as it streams in, progressive ones held whole; Adobe's inverted CMYK is understood; one that "
            "lacks only its end marker is shown, with a note in the sidecar: all scans are there, and the decoder "
            "needs no further bit",
            "JPEG",
        ),
        Format(
            "PNG",
            (LIBVIPS, PILLOW),
            "8 and 16 bits, palette, transparency; interlaced ones are held whole",
            "PNG",
        ),
        Format("GIF", (LIBVIPS, PILLOW), "the first frame, or `page`; held whole", "GIF"),
        Format("WebP", (LIBVIPS, PILLOW), "lossy and lossless, the first frame, or `page`; held whole", "WEBP"),
        Format("AVIF", (LIBVIPS, PILLOW), "8 to 12 bits; the primary image, or `page`; held whole", "AVIF"),
        Format("HEIF", (PILLOW,), "HEIC by pillow-heif; the primary image; held whole", "HEIF"),
        Format(
            "JPEG 2000",
            (IMAGECODECS,),
            "JP2, JPX and codestreams, 1 to 16 bits, also palettes, CMYK, CIELab and sYCC, with the file's channel "
            "definitions; a row of tiles at a time, pictures without tiles whole; those too large or too wide for that "
            "are decoded in half their size, a quarter .. with a note, or refused with 413 (`OVERSIZE`)",
        ),
        Format("BMP", (PILLOW,), "all variants of Windows; held whole", "BMP"),
        Format("PNM", (PILLOW,), "PBM, PGM, PPM and PFM; held whole", "PPM"),
        Format(
            "PSD",
            (MEZCAL,),
            "PSD and PSB: the flattened composite that Photoshop stores, decoded a few rows at a time: bitmap, grey, "
            "indexed, RGB, CMYK, duotone (as grey), Lab; 1, 8, 16 and 32 bits (without a profile: linear light); its "
            "transparency shows `BACKGROUND`; saved selections and spot colours are dropped; multichannel is refused",
        ),
        Format("QOI", (PILLOW,), "held whole", "QOI"),
        Format("SGI", (PILLOW,), "held whole", "SGI"),
    )
}

BY_LIBVIPS = {1, 2, 3, 4, 5, 7, 8, 32771, 32773, 32809, 32946, 34676, 34677}
BY_TIFFFILE = {
    33003,
    33004,
    33005,
    33007,
    34712,
    34887,
    34892,
    34925,
    34926,
    34933,
    34934,
    22610,
    50000,
    50001,
    50002,
}
BY_TIFFFILE |= {52546, 50013, 32766, 32908, 32909}


MODES = (
    Mode(
        "complex samples",
        lambda page: page.sample_format in (5, 6),
        (),
        "complex samples cannot be shown as a picture",
    ),
    Mode(
        "old-style JPEG (compression 6)",
        lambda page: page.compression == 6,
        (PILLOW,),
        "Pillow's libtiff has the decoder; the picture is held whole",
    ),
    Mode(
        "an unknown compression",
        lambda page: page.compression not in BY_LIBVIPS | BY_TIFFFILE,
        (),
        "no decoder is known for its compression",
    ),
    Mode(
        "raw sensor data, depth maps, masks and other photometrics that are no colours",
        lambda page: page.photometric not in (*range(4), SEPARATED, YCBCR, LOGL, LOGLUV, *LABS),
        (),
        "its photometric interpretation cannot be shown",
    ),
    Mode(
        "inks other than cyan, magenta, yellow, black",
        lambda page: page.photometric == SEPARATED and (page.directory.number(332, 1) != 1 or page.samples < 4),
        (),
        "its inks are not cyan, magenta, yellow and black",
    ),
    Mode(
        "LZMA, Zstandard, LERC, JPEG 2000, JPEG XL, WebP, PNG .. in TIFF",
        lambda page: page.compression in BY_TIFFFILE,
        (TIFFFILE,),
        "a strip or tile at a time by imagecodecs",
    ),
    Mode(
        "CIELAB of three 16-bit samples side by side, LogLuv, LogL",
        lambda page: page.photometric in (LOGL, LOGLUV) or (page.photometric == CIELAB and page.is_plain_lab16),
        (LIBVIPS, TIFFFILE),
        "to sRGB by libvips",
    ),
    Mode(
        "all other CIELAB, ICCLAB and ITULAB: 8 and 16 bits, floats, planes, L* alone, alpha",
        lambda page: page.photometric in LABS,
        (TIFFFILE,),
        "samples as they are, then to sRGB",
    ),
    Mode(
        "depths other than 1, 2, 4, 8, 16, 32, 64",
        lambda page: len(set(page.depths)) > 1 or page.depth not in (1, 2, 4, 8, 16, 32, 64),
        (TIFFFILE,),
        "scaled by the true bit depth",
    ),
    Mode(
        "half and double floats, 64-bit integers",
        lambda page: page.depth == 64 or (page.sample_format == 3 and page.depth == 16),
        (TIFFFILE,),
        "scaled to the range of the data",
    ),
    Mode(
        "separate planes: tiles, or other than three samples",
        lambda page: page.planar and (page.tile is not None or page.samples != 3),
        (TIFFFILE,),
        "a row of strips or tiles of every plane at a time",
    ),
    Mode(
        "JPEG with more samples than the colours, in tiles or as YCbCr",
        lambda page: (
            page.compression == 7
            and page.samples != page.colours
            and (page.tile is not None or page.photometric == YCBCR)
        ),
        (TIFFFILE,),
        "a row of strips or tiles at a time",
    ),
    Mode(
        "palette with further samples",
        lambda page: page.photometric == PALETTE and page.samples > 1,
        (TIFFFILE,),
        "looked up, alpha kept",
    ),
    Mode(
        "YCbCr 4:4:4, not JPEG",
        lambda page: page.photometric == YCBCR and page.compression != 7 and page.subsampling == (1, 1),
        (TIFFFILE,),
        "samples as they are, then to RGB by the file's own coefficients",
    ),
    Mode(
        "YCbCr, subsampled or JPEG",
        lambda page: page.photometric == YCBCR,
        (LIBVIPS,),
        "to RGB by libtiff",
    ),
    Mode(
        "float and signed samples, 32-bit integers",
        lambda page: page.sample_format != 1 or page.depth > 16,
        (LIBVIPS, TIFFFILE),
        "scaled to the range of the data; floats within 0..1 as they are",
    ),
    Mode(
        "bilevel, grey, RGB, palette, CMYK: 1, 2, 4, 8 and 16 bits, strips or tiles",
        lambda _page: True,
        (LIBVIPS, TIFFFILE),
        "decoded as it streams in",
    ),
)

MAGIC = (
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"\xffO\xffQ", "JPEG 2000"), (b"BM", "BMP"),
    (b"8BPS", "PSD"),
    (b"qoif", "QOI"), (b"\x01\xda\0", "SGI"), (b"\x01\xda\x01", "SGI"),
)  # fmt: skip
AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def detect_format(head: bytes) -> Format | None:
    """Returns the format of a file that begins with *head* (64 bytes are enough). None if it is not accepted."""
    for magic, name in MAGIC:
        if head.startswith(magic):
            return FORMATS[name]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FORMATS["WebP"]
    if head[:1] == b"P" and head[1:2] in b"1234567fF" and head[2:3] in b" \t\r\n":
        return FORMATS["PNM"]
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    return None


def _by_brand(head: bytes) -> Format | None:
    brands = [
        head[8:12],
        *(head[at : at + 4] for at in range(16, min(len(head), int.from_bytes(head[:4])), 4)),
    ]
    if any(brand in AVIF_BRANDS for brand in brands):
        return FORMATS["AVIF"]
    return FORMATS["HEIF"] if any(brand in HEIF_BRANDS for brand in brands) else None


def mode_of(page: Page) -> Mode:
    """Returns the first of `MODES` that matches *page*."""
    return next(mode for mode in MODES if mode.matches(page))
