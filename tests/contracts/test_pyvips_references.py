"""`Image._references`, with which `mezcal/convert/engines/libvips.py` keeps a source alive as long as its image."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pyvips

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_added_to_an_images_references_lives_as_long_as_what_is_made_of_the_image(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    pyvips.Image.black(16, 16).write_to_file(str(file))
    source = pyvips.Source.new_from_file(str(file))
    alive = weakref.ref(source)
    image = pyvips.Image.pngload_source(source)
    image._references.append(source)
    made = image.invert()
    del source, image
    gc.collect()
    assert alive() is not None
    assert made.avg() == 255
    del made
    gc.collect()
    assert alive() is None
