"""Draws the masters that come with mezcal: `python -m tools.draw_samples.make`, by hand, where one changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips
import tifffile
from PIL import Image

from mezcal.sample import FOLDER
from tools.draw_samples import page, plate, profile, scenes, sky, valley

if TYPE_CHECKING:
    from pathlib import Path

    from tools.draw_samples.canvas import Pixels

UPRIGHT_AFTER_90 = (274, "H", 1, 6, True)  # tag Orientation: turn clockwise to see it upright
PRINT_DPI = (300.0, 300.0)


def make(folder: Path = FOLDER) -> None:
    """Write every sample below *folder*."""
    (folder / "maps").mkdir(parents=True, exist_ok=True)
    _deflated(folder / "agave-p3.tif", scenes.field(), predictor=False, iccprofile=profile.wide_rgb())
    _deflated(folder / "galaxy-16bit.tif", sky.galaxy())
    _deflated(folder / "plate-cmyk.tif", plate.plate(), photometric="separated", resolution=PRINT_DPI)
    _deflated(folder / "portrait-rotated.tif", np.rot90(scenes.moonrise()), extratags=[UPRIGHT_AFTER_90])
    _bilevel(folder / "manuscript-bilevel.tif", page.manuscript())
    _pyramid(folder / "maps" / "valley.tif", valley.valley())


def _deflated(path: Path, pixels: Pixels, **tags: Any) -> None:
    """Write *pixels* in strips of 64 rows with deflate. The tag `predictor` is horizontal unless it is given."""
    tags.setdefault("predictor", True)
    tags.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(
        path,
        np.ascontiguousarray(pixels),
        compression="deflate",
        compressionargs={"level": 9},
        rowsperstrip=64,
        software=False,
        metadata=None,
        **tags,
    )


def _bilevel(path: Path, ink: Pixels) -> None:
    """One bit a pixel, CCITT group 4, as scanners of text write it."""
    Image.fromarray(~ink).save(path, compression="group4", dpi=(200, 200))


def _pyramid(path: Path, pixels: Pixels) -> None:
    """Tiles of 256 pixels, and the same picture at half the size and a quarter on further pages."""
    pyvips.Image.new_from_array(pixels).tiffsave(
        str(path),
        tile=True,
        tile_width=256,
        tile_height=256,
        pyramid=True,
        compression="deflate",
        predictor="horizontal",
        level=9,
    )


if __name__ == "__main__":
    make()
