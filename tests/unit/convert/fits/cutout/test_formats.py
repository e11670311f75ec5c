"""PNG and WebP of thumbnails and cutouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import BadRecipe
from mezcal.recipe import Frame, Thumbnail, ThumbnailOptions
from tests import DATA

if TYPE_CHECKING:
    from pathlib import Path

FRAME = Frame(17, "a-e91.fits.fz", "d41d8cd9")
MONO = DATA / "fits" / "mono_f32_rice.fits.fz"


def drawn(tmp_path: Path, **query: str) -> Image.Image:
    with MONO.open("rb") as file:
        draw([file], tmp_path / "out", ThumbnailOptions.parse(query), ConversionContext(scratch=tmp_path))
    with Image.open(tmp_path / "out") as image:
        image.load()
        return image


@pytest.mark.parametrize("look", ["lco", "robust"])
@pytest.mark.parametrize(("name", "kind"), [("jpeg", "JPEG"), ("JPG", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_every_format_shows_the_same_picture(tmp_path: Path, look: str, name: str, kind: str) -> None:
    plain = drawn(tmp_path, look=look, quality="95")
    shown = drawn(tmp_path, look=look, quality="95", format=name)
    assert (shown.format, shown.mode, shown.size) == (kind, "RGB", plain.size)
    assert np.abs(np.asarray(shown, float) - np.asarray(plain, float)).mean() < 4


def test_png_is_without_loss(tmp_path: Path) -> None:
    """The levels of the lco look are those before the JPEG."""
    shown = np.asarray(drawn(tmp_path, look="lco", format="png"))
    assert (shown[..., 0] == shown[..., 1]).all()


def test_each_format_has_a_key_and_a_file_name_of_its_own() -> None:
    recipes = [Thumbnail((FRAME,), ThumbnailOptions.parse({"format": name})) for name in ("jpeg", "png", "webp")]
    assert len({recipe.key for recipe in recipes}) == 3
    assert [recipe.file_name for recipe in recipes] == ["image.jpg", "frame-picture.png", "frame-picture.webp"]


def test_jpeg_by_name_is_the_thumbnail_of_before() -> None:
    plain = Thumbnail((FRAME,), ThumbnailOptions.parse({}))
    for name in ("jpeg", "jpg", "JPEG", ""):
        assert Thumbnail((FRAME,), ThumbnailOptions.parse({"format": name})).key == plain.key


def test_png_has_no_quality() -> None:
    assert ThumbnailOptions.parse({"format": "png", "quality": "30"}) == ThumbnailOptions.parse({"format": "png"})


@pytest.mark.parametrize("name", ["gif", "tiff", "fit", "image/png"])
def test_other_formats_are_refused(name: str) -> None:
    with pytest.raises(BadRecipe, match="it may be jpeg, png, webp or fits"):
        ThumbnailOptions.parse({"format": name})
