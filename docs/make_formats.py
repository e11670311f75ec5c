"""Print docs/formats.md out of the tables in `mezcal/convert/formats.py`.

.venv/bin/python docs/make_formats.py > docs/formats.md
"""

from __future__ import annotations

import sys

from mezcal.convert.engines.memory_limits import (
    DECODED_MAX,
    JPEG_2000_BYTES,
    LIBVIPS_BYTES,
    PILLOW_BYTES,
    PILLOW_DECODER_BYTES,
    PNG_CHANNELS,
)
from mezcal.convert.formats import FORMATS, MODES

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
    "JPEG 2000, grey of 8 bits, no tiles": PILLOW_BYTES["L"] + JPEG_2000_BYTES + 1,
    "JPEG 2000, RGB, no tiles": PILLOW_BYTES["RGB"] + 3 * (JPEG_2000_BYTES + 1),
    "JPEG 2000, RGB of 16 bits, no tiles": PILLOW_BYTES["RGB"] + 3 * (JPEG_2000_BYTES + 2),
    "grey of 8 bits by Pillow": PILLOW_BYTES["L"],
    "palette by Pillow": PILLOW_BYTES["P"],
    "RGB or CMYK by Pillow": PILLOW_BYTES["RGB"],
    "16-bit PNM": PILLOW_BYTES["I"],
}
ROWS = "\n".join(f"| {name} | {each:g} | {int(DECODED_MAX / each / 1e6)} |" for name, each in WHOLE.items())

# The pictures beside each row, by tools/tiny_masters.py's names for them.
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
    "CIELAB and ICCLAB, 8 bits": ("cielab", "icclab"),
    "depths other than 1, 2, 4, 8, 16, 32, 64": ("grey12", "rgb10"),
    "half and double floats, 64-bit integers": ("half", "double"),
    "separate planes: tiles, or other than three samples": ("planar-tiles",),
    "palette with further samples": ("palette-alpha",),
    "YCbCr 4:4:4, not JPEG": ("ycc444",),
    "YCbCr, subsampled or JPEG": ("ycc420", "ycc-jpeg"),
    "LAB of 16 bits, LogLuv, LogL": ("lab16", "logluv"),
    "float and signed samples, 32-bit integers": ("float", "int16", "uint32"),
    "bilevel, grey, RGB, palette, CMYK: 1, 2, 4, 8 and 16 bits, strips or tiles": (
        "bilevel", "grey4", "grey8", "rgb8", "rgb16", "palette", "cmyk",
    ),
}  # fmt: skip
SAMPLES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("8-bit grey and RGB", "what they are", ("grey8", "rgb8")),
    ("16-bit", "the upper eight bits, after the profile has been applied to all sixteen", ("rgb16",)),
    ("2 to 15 bits", "scaled by their own white", ("grey4", "grey12", "rgb10")),
    ("floats within 0..1", "0..255", ("float", "half")),
    (
        "other floats, signed integers, 32 and 64 bits",
        "their least to their largest finite value, as 0..255",
        ("stretched", "int16"),
    ),
    ("signed bytes", "taken as unsigned, as every viewer does", ("int8",)),
    ("MinIsWhite", "inverted", ("miniswhite",)),
    (
        "RGB with a profile",
        "sRGB (relative, black point compensated); with `COLOR=keep` the profile embedded",
        ("p3",),
    ),
    ("grey with a grey profile", "what they are, profile embedded", ("grey-profile",)),
    ("CMYK", "sRGB, perceptual, by the profile or by libvips' own", ("cmyk-plate",)),
    ("LAB, LogLuv, YCbCr", "sRGB", ("lab16", "logluv", "ycc420")),
    ("a profile that is damaged, or of another colour space", "as if there were none", ("bad-profile",)),
    ("alpha, associated or not", "flattened over `BACKGROUND`", ("alpha", "associated")),
    ("further samples (infrared, unspecified)", "dropped", ("infrared",)),
    ("orientation", "applied once; the tag is removed", ("turned",)),
    ("resolution", "kept as JFIF density; a turned picture has its two exchanged", ()),
    ("EXIF, XMP, IPTC", "dropped, or kept less orientation and thumbnail with `KEEP_METADATA`", ()),
    ("several pages", "the largest that is not a smaller copy or a mask; `?page=N` picks another", ("pages",)),
    (
        "a side of more than 65,500 pixels",
        "scaled to fit with a note, or refused with 413 (`OVERSIZE`)",
        (),
    ),
)

INTRODUCTION = """\
# What becomes of every master

<!-- Made by docs/make_formats.py out of mezcal/convert/formats.py: change those, not this page. -->

A master is judged by its first bytes, never by its name or declared type. What is none of these formats is
refused with 415; what cannot be decoded whole, with 422 and the decoder's reason. All other loaders (SVG,
PDF, PostScript, ImageMagick) are closed.

The engines are asked in the order given. The next one gets its turn only where the one before does not know
the layout: data that an engine knows and finds damaged is refused, because a more lenient engine would make a
wrong picture of it.
"""

HELD = f"""
*Held whole* means that a decoder needs the whole picture in memory, of which one master may take
{DECODED_MAX // 2**20} MB, so that a process that converts stays below 1 GB; a larger one is refused with 413 and the
reason before anything is decoded. A larger JPEG 2000 is decoded in half its size, or a quarter .., which its
coding has in it: RGB of 8 bits goes to about 150 megapixels in half, and less if its file is large. What that is in
pixels depends on the kind:

| held whole | bytes a pixel | megapixels at most |
| --- | --- | --- |
{ROWS}

Everything else streams, in memory that does not grow with the picture. A JPEG or PNG that declares more pixels
than a file of its size can hold is refused with 422, also before it is decoded.
"""

PROLOGUE = """\
The pictures are mezcal's own output: each was made from a tiny master in just that mode
(`tools/tiny_masters.py`), so those of one row, and most of the page, should look alike. The bilevel one is
dithered in its master; CMYK's colours are those that ink has.
"""


def markdown() -> str:
    """The whole page."""
    formats = [(each.name, ", ".join(each.engines) or "by mode", each.treatment) for each in FORMATS.values()]
    modes = [(each.name, ", ".join(each.engines) or "refused", each.treatment) for each in MODES]
    parts = [INTRODUCTION, PROLOGUE, "## Formats", ""]
    parts += table(("format", "engines", "what is done"), formats)
    parts += [HELD, "## Modes of a TIFF page", "", "The first row that fits is the one that counts.", ""]
    parts += table(("mode", "engines", "what is done"), modes)
    parts += ["", "## What is done with the samples", "", "| samples | become | |", "| --- | --- | --- |"]
    parts += [f"| {samples} | {become} | {shown(names)} |" for samples, become, names in SAMPLES]
    return "\n".join(parts) + "\n"


def table(head: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> list[str]:
    """A table with the pictures of each row beside it."""
    lines = [f"| {' | '.join(head)} | |", "| --- | --- | --- | --- |"]
    return lines + [f"| {' | '.join(row)} | {shown(PICTURES.get(row[0], ()))} |" for row in rows]


def shown(names: tuple[str, ...]) -> str:
    """The pictures *names*."""
    return " ".join(f"![{name}](formats/{name}.jpg)" for name in names)


if __name__ == "__main__":
    sys.stdout.write(markdown())
