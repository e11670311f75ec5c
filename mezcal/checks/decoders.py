"""Converts a sample, and asks the engines for their decoders."""

from __future__ import annotations

import tempfile
from pathlib import Path

import imagecodecs
import PIL
import pyvips
from PIL import features

from mezcal import sample
from mezcal.checks import CheckFailed
from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.engines.libvips import LOADERS

SAMPLE = "agave-p3.tif"
PILLOW_FEATURES = ("jpg_2000", "libtiff", "webp")


def convert_sample() -> str:
    """Return the versions of the engines. Raises `CheckFailed` if a decoder is missing."""
    with tempfile.TemporaryDirectory() as name, (sample.FOLDER / SAMPLE).open("rb") as master:
        convert(master, Path(name, "sample.jpg"), ConversionContext(ConversionOptions(max_edge=64)))
    missing = [kind for kind, (_, loader) in LOADERS.items() if not pyvips.type_find("VipsOperation", loader)]
    missing += [name for name in PILLOW_FEATURES if not features.check(name)]
    if missing:
        raise CheckFailed(f"no decoder for {', '.join(missing)}")
    vips = ".".join(str(pyvips.version(part)) for part in range(3))
    return f"a sample was converted; libvips {vips}, Pillow {PIL.__version__}, imagecodecs {imagecodecs.__version__}"
