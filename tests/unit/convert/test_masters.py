"""Masters of many kinds, each compared with the picture that it must become."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mezcal.convert import ConversionContext, convert
from mezcal.errors import Failure, PageInstead
from tests import DATA

MASTERS = DATA / "masters"
EXPECTED = json.loads((MASTERS / "expected.json").read_text())
WANTED = [case for case in EXPECTED if case["outcome"] == "ok"]
REFUSED = [case for case in EXPECTED if case["outcome"] == "refuse"]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("streamed", [False, True], ids=["file", "stream"])
@pytest.mark.parametrize("case", WANTED, ids=by_name)
def test_a_master_becomes_the_right_picture(case, streamed, tmp_path):
    target = tmp_path / "out.jpg"
    with (MASTERS / case["name"]).open("rb") as file:
        picture = convert(io.BytesIO(file.read()) if streamed else file, target, ConversionContext())
    with Image.open(target) as image:
        assert image.format == "JPEG"
        assert image.mode in ("L", "RGB")
        assert image.size == (picture.width, picture.height)
        assert list(image.size) in case["sizes"]
        assert 274 not in image.getexif()
        assert distance(image, case) <= case["max_rmse"]


@pytest.mark.parametrize("case", REFUSED, ids=by_name)
def test_a_bad_master_is_refused_with_a_reason(case, tmp_path):
    with (MASTERS / case["name"]).open("rb") as file, pytest.raises(Failure) as caught:
        convert(file, tmp_path / "out.jpg", ConversionContext())
    assert 400 <= caught.value.status < 500
    assert not caught.value.retryable or isinstance(caught.value, PageInstead)
    assert len(caught.value.detail) > 10


def distance(image: Image.Image, case: dict[str, Any]) -> float:
    """Root mean square difference from the nearest of the expected 24 x 24 thumbnails, in 0..255."""
    shape = tuple(case["shape"])
    small = to_srgb(image).resize((shape[1], shape[0]), Image.Resampling.BOX)
    found = np.asarray(small).astype(float)
    grids = [np.frombuffer(base64.b64decode(grid), "u1").reshape(shape) for grid in case["grids"]]
    return min(float(np.sqrt(((found - grid) ** 2).mean())) for grid in grids)


def to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile and image.mode == "RGB":
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return image.convert("RGB")
