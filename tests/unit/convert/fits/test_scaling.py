"""Sheets to their final size, in fours or in bands: as Pillow makes them in one piece."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from mezcal.convert.fits.draw.scaling import factors, fitted, resampled, resized

SIDES = some.integers(1, 90)


@some.composite
def scalings(draw: Any) -> tuple[int, int, tuple[float, float], tuple[int, int]]:
    """Rows and columns of a sheet, the part of them that is the picture, and its final size, as frames have them."""
    size = draw(SIDES), draw(SIDES)
    final = fitted(size, (draw(SIDES), draw(SIDES)))
    by = factors(size, final)
    width, height = size[0] / by[0], size[1] / by[1]
    return math.ceil(height), math.ceil(width), (width, height), final


@given(scalings())
def test_levels_are_those_of_lanczos(scaling: Any) -> None:
    height, width, part, final = scaling
    sheet = np.random.default_rng(height * width).integers(0, 256, (height, width), np.uint8)
    wanted = Image.fromarray(sheet).resize(final, Image.Resampling.LANCZOS, box=(0, 0, *part))
    assert np.array_equal(resized(sheet, part, final), np.asarray(wanted))


def test_a_sheet_that_has_its_size_is_left_as_it_is() -> None:
    levels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    assert resized(levels, (7, 5), (7, 5)) is levels
    assert np.array_equal(np.concatenate([*resampled(levels.astype("f4"), (7, 5), (7, 5)).bands]), levels)


@given(scalings())
def test_bands_fit_together_to_what_hamming_makes_of_the_whole(scaling: Any) -> None:
    height, width, part, final = scaling
    sheet = np.random.default_rng(height * width).random((height, width), np.float32)
    wanted = Image.fromarray(sheet).resize(final, Image.Resampling.HAMMING, box=(0, 0, *part))
    assert np.concatenate([*resampled(sheet, part, final).bands]) == pytest.approx(np.asarray(wanted), abs=1e-3)


def test_bands_see_their_neighbours_rows() -> None:
    sheet = np.random.default_rng(1).random((700, 40), np.float32)
    bands = [*resampled(sheet, (40, 699.5), (31, 333)).bands]
    wanted = Image.fromarray(sheet).resize((31, 333), Image.Resampling.HAMMING, box=(0, 0, 40, 699.5))
    assert len(bands) > 2
    assert np.concatenate(bands) == pytest.approx(np.asarray(wanted), abs=1e-4)
