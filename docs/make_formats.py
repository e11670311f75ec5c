"""Print docs/formats.md out of the tables in `mezcal/convert/formats.py`.

.venv/bin/python docs/make_formats.py > docs/formats.md
"""

from __future__ import annotations

import sys

from mezcal.convert.formats import FORMATS, MODES
from mezcal.convert.held import BY_DECODER, BY_LIBVIPS, BY_PILLOW, HELD_BYTES, JPEG_2000, PNG_CHANNELS

WHOLE = {
    "progressive JPEG, 4:2:0": 4.5,
    "progressive JPEG, 4:4:4": 7.5,
    "interlaced PNG, RGB of 8 bits": PNG_CHANNELS[2] + 1,
    "interlaced PNG, RGBA of 16 bits": 2 * PNG_CHANNELS[6] + 1,
    "WebP": BY_LIBVIPS["WebP"],
    "GIF": BY_LIBVIPS["GIF"],
    "AVIF of 8 bits": BY_LIBVIPS["AVIF"],
    "AVIF of 10 and 12 bits": BY_LIBVIPS["deep AVIF"],
    "HEIF": BY_DECODER["HEIF"],
    "JPEG 2000, grey of 8 bits, no tiles": BY_PILLOW["L"] + JPEG_2000,
    "JPEG 2000, RGB, no tiles": BY_PILLOW["RGB"] + 3 * JPEG_2000,
    "grey of 8 bits by Pillow": BY_PILLOW["L"],
    "palette by Pillow": BY_PILLOW["P"],
    "RGB or CMYK by Pillow": BY_PILLOW["RGB"],
    "16-bit PNM": BY_PILLOW["I"],
}
ROWS = "\n".join(f"| {name} | {each:g} | {int(HELD_BYTES / each / 1e6)} |" for name, each in WHOLE.items())

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
{HELD_BYTES // 2**20} MB, so that a process that converts stays below 1 GB; a larger one is refused with 413 and the
reason before anything is decoded. What that is in pixels depends on the kind:

| held whole | bytes a pixel | megapixels at most |
| --- | --- | --- |
{ROWS}

Everything else streams, in memory that does not grow with the picture. A JPEG or PNG that declares more pixels
than a file of its size can hold is refused with 422, also before it is decoded.
"""

COLOUR = """\

## What is done with the samples

| samples | become |
| --- | --- |
| 8-bit grey and RGB | what they are |
| 16-bit | the upper eight bits, after the profile has been applied to all sixteen |
| 2 to 15 bits | scaled by their own white |
| floats within 0..1 | 0..255 |
| other floats, signed integers, 32 and 64 bits | their least to their largest finite value, as 0..255 |
| signed bytes | taken as unsigned, as every viewer does |
| MinIsWhite | inverted |
| RGB with a profile | sRGB (relative, black point compensated); with `COLOR=keep` the profile embedded |
| grey with a grey profile | what they are, profile embedded |
| CMYK | sRGB, perceptual, by the profile or by libvips' own |
| LAB, LogLuv, YCbCr | sRGB |
| a profile that is damaged, or of another colour space | as if there were none |
| alpha, associated or not | flattened over `BACKGROUND` |
| further samples (infrared, unspecified) | dropped |
| orientation | applied once; the tag is removed |
| resolution | kept as JFIF density; a turned picture has its two exchanged |
| EXIF, XMP, IPTC | dropped, or kept less orientation and thumbnail with `KEEP_METADATA` |
| several pages | the largest that is not a smaller copy or a mask; `?page=N` picks another |
| a side of more than 65,500 pixels | scaled to fit with a note, or refused with 413 (`OVERSIZE`) |
"""


def markdown() -> str:
    """The whole page."""
    lines = [INTRODUCTION, "## Formats", "", "| format | engines | what is done |", "| --- | --- | --- |"]
    lines += [
        f"| {kind.name} | {', '.join(kind.engines) or 'by mode'} | {kind.treatment} |" for kind in FORMATS.values()
    ]
    lines += [HELD, "## Modes of a TIFF page", "", "The first row that fits is the one that counts.", ""]
    lines += ["| mode | engines | what is done |", "| --- | --- | --- |"]
    lines += [f"| {mode.name} | {', '.join(mode.engines) or 'refused'} | {mode.treatment} |" for mode in MODES]
    return "\n".join(lines) + "\n" + COLOUR


if __name__ == "__main__":
    sys.stdout.write(markdown())
