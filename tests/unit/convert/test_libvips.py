"""libvips with sources that call Python."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pyvips

from mezcal.convert.engines import libvips

if TYPE_CHECKING:
    from pathlib import Path


def test_a_source_lives_as_long_as_all_images_made_of_it(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    pyvips.Image.black(16, 16).write_to_file(str(file))
    source = pyvips.Source.new_from_file(str(file))
    alive = weakref.ref(source)
    image = libvips.load_from(source)
    inverted = image.invert()
    del source, image
    gc.collect()
    assert alive() is not None
    assert inverted.avg() == 255
    del inverted
    gc.collect()
    assert alive() is None
