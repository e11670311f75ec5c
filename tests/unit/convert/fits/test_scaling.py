"""Resampling in fours and in bands: the same pixels as Pillow's in one piece."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from mezcal.convert.fits.draw.scaling import box_size, fit_inside, resample, resize_levels

SIDES = some.integers(1, 90)


@some.composite
def scalings(draw: Any) -> tuple[int, int, tuple[float, float], tuple[int, int]]:
    """Rows and columns of an averaged picture, the part of them that is pixels, and the final size."""
    size = draw(SIDES), draw(SIDES)
    final = fit_inside(size, (draw(SIDES), draw(SIDES)))
    by = box_size(size, final)
    width, height = size[0] / by[0], size[1] / by[1]
    return math.ceil(height), math.ceil(width), (width, height), final


@given(scalings())
def test_levels_are_those_of_lanczos(scaling: Any) -> None:
    height, width, part, final = scaling
    small = np.random.default_rng(height * width).integers(0, 256, (height, width), np.uint8)
    wanted = Image.fromarray(small).resize(final, Image.Resampling.LANCZOS, box=(0, 0, *part))
    assert np.array_equal(resize_levels(small, part, final), np.asarray(wanted))


def test_a_picture_that_has_its_final_size_is_not_changed() -> None:
    levels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    assert resize_levels(levels, (7, 5), (7, 5)) is levels
    assert np.array_equal(np.concatenate([*resample(levels.astype("f4"), (7, 5), (7, 5)).bands]), levels)


@given(scalings())
def test_bands_join_to_the_picture_that_hamming_gives_of_the_whole(scaling: Any) -> None:
    height, width, part, final = scaling
    small = np.random.default_rng(height * width).random((height, width), np.float32)
    wanted = Image.fromarray(small).resize(final, Image.Resampling.HAMMING, box=(0, 0, *part))
    assert np.concatenate([*resample(small, part, final).bands]) == pytest.approx(np.asarray(wanted), abs=1e-3)


def test_a_band_uses_the_rows_of_its_neighbours() -> None:
    small = np.random.default_rng(1).random((700, 40), np.float32)
    bands = [*resample(small, (40, 699.5), (31, 333)).bands]
    wanted = Image.fromarray(small).resize((31, 333), Image.Resampling.HAMMING, box=(0, 0, 40, 699.5))
    assert len(bands) > 2
    assert np.concatenate(bands) == pytest.approx(np.asarray(wanted), abs=1e-4)
