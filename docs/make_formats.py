"""Print docs/formats.md out of the tables in `mezcal/convert/formats.py`.

.venv/bin/python docs/make_formats.py > docs/formats.md
"""

from __future__ import annotations

import sys

from mezcal.convert.formats import FORMATS, MODES

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
    lines += ["", "## Modes of a TIFF page", "", "The first row that fits is the one that counts.", ""]
    lines += ["| mode | engines | what is done |", "| --- | --- | --- |"]
    lines += [f"| {mode.name} | {', '.join(mode.engines) or 'refused'} | {mode.treatment} |" for mode in MODES]
    return "\n".join(lines) + "\n" + COLOUR


if __name__ == "__main__":
    sys.stdout.write(markdown())
