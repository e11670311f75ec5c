"""Writes docs/formats.md from the tables in `mezcal/convert/formats.py`, so that the two cannot differ."""

from __future__ import annotations

from pathlib import Path

from mezcal.convert.engines.memory_limits import (
    DECODED_MAX,
    LIBVIPS_BYTES,
    PILLOW_BYTES,
    PILLOW_DECODER_BYTES,
    PNG_CHANNELS,
)
from mezcal.convert.formats import FORMATS, MODES
from mezcal.convert.jpeg2000.codestream import SAMPLE_BYTES

PAGE = Path("docs/formats.md")
WHOLE = {
    "progressive JPEG, 4:2:0": 4.5,
    "progressive JPEG, 4:4:4": 7.5,
    "interlaced PNG, RGB of 8 bits": PNG_CHANNELS[2] + 1,
    "interlaced PNG, RGBA of 16 bits": 2 * PNG_CHANNELS[6] + 1,
    "WebP": LIBVIPS_BYTES["WebP"],
    "GIF": LIBVIPS_BYTES["GIF"],
    "AVIF of 8 bits": LIBVIPS_BYTES["AVIF"],
    "AVIF of 10 and 12 bits": LIBVIPS_BYTES["deep AVIF"],
    "HEIF": PILLOW_DECODER_BYTES["HEIF"],
    "JPEG 2000, grey of 8 bits, no tiles": SAMPLE_BYTES + 1,
    "JPEG 2000, RGB, no tiles": 3 * (SAMPLE_BYTES + 1),
    "JPEG 2000, RGB of 16 bits, no tiles": 3 * (SAMPLE_BYTES + 2),
    "grey of 8 bits by Pillow": PILLOW_BYTES["L"],
    "palette by Pillow": PILLOW_BYTES["P"],
    "RGB or CMYK by Pillow": PILLOW_BYTES["RGB"],
    "16-bit PNM": PILLOW_BYTES["I"],
}
ROWS = "\n".join(
    f"| {name} | {pixel_bytes:g} | {int(DECODED_MAX / pixel_bytes / 1e6)} |" for name, pixel_bytes in WHOLE.items()
)

# The pictures in each row, by their names in tools/tiny_masters.py.
PICTURES: dict[str, tuple[str, ...]] = {
    "JPEG": ("jpeg",),
    "PNG": ("png",),
    "GIF": ("gif",),
    "WebP": ("webp",),
    "AVIF": ("avif",),
    "HEIF": ("heif",),
    "JPEG 2000": ("jp2",),
    "BMP": ("bmp",),
    "PNM": ("pnm",),
    "PSD": ("psd",),
    "QOI": ("qoi",),
    "SGI": ("sgi",),
    "old-style JPEG (compression 6)": ("old-jpeg",),
    "LZMA, Zstandard, LERC, JPEG 2000, JPEG XL, WebP, PNG .. in TIFF": (
        "lzma", "zstd", "lerc", "jpeg2000", "jpegxl", "webp-tiles", "png-tiles",
    ),
    "CIELAB of three 16-bit samples side by side, LogLuv, LogL": ("lab16", "logluv"),
    "all other CIELAB, ICCLAB and ITULAB: 8 and 16 bits, floats, planes, L* alone, alpha": ("cielab", "icclab"),
    "depths other than 1, 2, 4, 8, 16, 32, 64": ("grey12", "rgb10"),
    "half and double floats, 64-bit integers": ("half", "double"),
    "separate planes: tiles, or other than three samples": ("planar-tiles",),
    "JPEG with more samples than the colours, in tiles or as YCbCr": ("jpeg-alpha",),
    "palette with further samples": ("palette-alpha",),
    "YCbCr 4:4:4, not JPEG": ("ycc444",),
    "YCbCr, subsampled or JPEG": ("ycc420", "ycc-jpeg"),
    "float and signed samples, 32-bit integers": ("float", "int16", "uint32"),
    "bilevel, grey, RGB, palette, CMYK: 1, 2, 4, 8 and 16 bits, strips or tiles": (
        "bilevel", "grey4", "grey8", "rgb8", "rgb16", "palette", "cmyk",
    ),
}  # fmt: skip
SMALLER_COPY = (
    "has at most a quarter of the largest page's pixels, unless NewSubfileType or PageNumber call it a document's page"
)
SAMPLES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("8-bit grey and RGB", "kept", ("grey8", "rgb8")),
    ("16-bit", "the upper eight bits, after the profile has been applied to all sixteen", ("rgb16",)),
    ("2 to 15 bits", "scaled by their white", ("grey4", "grey12", "rgb10")),
    ("floats within 0..1", "0..255", ("float", "half")),
    (
        "other floats, signed integers, 32 and 64 bits",
        "the range of their values, as 0..255, without nodata",
        ("stretched", "int16"),
    ),
    (
        "nodata: the value of GDAL's tag 42113, NaN, floats beyond 1e30; -9999, -99999, -32768 .. far from the rest",
        "left out of the range; black if it is below it",
        (),
    ),
    (
        "a palette that has not as many colours as its bits can number",
        "refused: it is not known where green begins",
        (),
    ),
    ("signed bytes", "read as unsigned, as every viewer does", ("int8",)),
    ("MinIsWhite", "inverted", ("miniswhite",)),
    (
        "RGB with a profile",
        "sRGB (relative, black point compensated); with `COLOR=keep` the profile embedded",
        ("p3",),
    ),
    (
        "grey with a grey profile",
        "grey with sRGB's curve; with `COLOR=keep` kept, with the profile embedded",
        ("grey-profile",),
    ),
    (
        "CMYK",
        "sRGB, perceptual, by their profile or libvips' default one; four full inks become black",
        ("cmyk-plate",),
    ),
    ("LAB, LogLuv, YCbCr", "sRGB", ("lab16", "logluv", "ycc420")),
    ("a profile that is damaged, or of another colour space", "ignored", ("bad-profile",)),
    ("alpha, associated or not", "flattened over `BACKGROUND`", ("alpha", "associated")),
    ("a fourth sample of RGB without ExtraSamples", "taken for unassociated alpha, as by other viewers", ()),
    ("further samples (infrared, unspecified)", "dropped", ("infrared",)),
    ("RGB and CMYK of 1, 2 and 4 bits; JPEG in separate planes, CMYK too", "as of 8 bits, scaled by their white", ()),
    (
        "gAMA and cHRM of a PNG without a profile",
        "ignored: the samples are taken for sRGB, as libvips and Pillow do",
        (),
    ),
    ("orientation", "applied once; the tag is removed", ("turned",)),
    ("resolution", "kept as JFIF density; exchanged if the picture is rotated by 90 degrees", ()),
    ("EXIF, XMP, IPTC", "dropped; with `KEEP_METADATA` kept without orientation and thumbnail", ()),
    (
        "several pages",
        "the first that is no mask and no smaller copy; `?page=N` selects another. A copy is flagged as one, or "
        + SMALLER_COPY,
        ("pages",),
    ),
    (
        "a link to a next page that leads nowhere (after the end of the file, or to no directory)",
        "the pages before it are shown, with a note in the sidecar; a page after it is refused with 422",
        (),
    ),
    (
        "a tag that cannot be read and that no decoder needs: NewSubfileType, SubfileType, Orientation, resolution",
        "as if it were absent",
        (),
    ),
    (
        "a side of more than 65,500 pixels",
        "scaled to fit with a note, or refused with 413 (`OVERSIZE`)",
        (),
    ),
)

INTRODUCTION = """\
# What every master is converted to

<!-- Generated by tools/formats_table.py from mezcal/convert/formats.py: change those, not this page. -->

The format is detected from the first bytes, never from the name or the declared type. A file of another format is
refused with 415. A file that cannot be decoded completely is refused with 422 and the decoder's reason. All other
loaders (SVG, PDF, PostScript, ImageMagick) are disabled.

The engines are tried in the given order. The next one is tried only if the one before does not know the layout.
Data that an engine knows and finds damaged is refused, because a more lenient engine would make a wrong picture.
"""

HELD = f"""
*Held whole* means that the decoder needs the whole picture in memory. One master may take {DECODED_MAX // 2**20} MB
of it, so that a process stays below 1 GB. A larger one is refused with 413 and the reason before anything is decoded.
A larger JPEG 2000 is decoded in half its size, or a quarter .., which its coding contains: 8-bit RGB up to about 150
megapixels in half, fewer if the file is large. One in tiles is decoded a row of tiles at a time, and has no such limit.
The limit in pixels depends on the kind:

| held whole | bytes a pixel | megapixels at most |
| --- | --- | --- |
{ROWS}

All other masters stream: the memory grows with the width of the picture, not with its height.
[What a conversion asks for](memory.md) has the rules and what was measured. A JPEG or PNG that declares more pixels
than a file of its size can hold is refused with 422 before it is decoded.
"""

PROLOGUE = """\
mezcal made the pictures, each from a tiny master in exactly that mode (`tools/tiny_masters.py`). So most of them
look alike. The bilevel one is dithered in its master, and CMYK has the colours of ink.
"""


def markdown() -> str:
    """Returns the page."""
    formats = [(kind.name, ", ".join(kind.engines) or "by mode", kind.treatment) for kind in FORMATS.values()]
    modes = [(mode.name, ", ".join(mode.engines) or "refused", mode.treatment) for mode in MODES]
    parts = [INTRODUCTION, PROLOGUE, "## Formats", ""]
    parts += table(("format", "engines", "what is done"), formats)
    parts += [HELD, "## Modes of a TIFF page", "", "A page belongs to the first row that matches it.", ""]
    parts += table(("mode", "engines", "what is done"), modes)
    parts += ["", "## What is done with the samples", "", "| samples | become | |", "| --- | --- | --- |"]
    parts += [f"| {samples} | {become} | {shown(names)} |" for samples, become, names in SAMPLES]
    return "\n".join(parts) + "\n"


def table(head: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> list[str]:
    """Returns a table with the pictures of each row."""
    lines = [f"| {' | '.join(head)} | |", "| --- | --- | --- | --- |"]
    return lines + [f"| {' | '.join(row)} | {shown(PICTURES.get(row[0], ()))} |" for row in rows]


def shown(names: tuple[str, ...]) -> str:
    """Returns the pictures *names* in Markdown."""
    return " ".join(f"![{name}](formats/{name}.jpg)" for name in names)


def main() -> None:
    """Write the page."""
    PAGE.write_text(markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
