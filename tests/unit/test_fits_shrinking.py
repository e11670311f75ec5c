"""Sheets to their final size, in fours or in bands: as Pillow makes them in one piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from mezcal.convert.fits.shrinking import resampled, resized

SIDES = some.integers(1, 90)
SHARES = some.floats(0.01, 1)


@some.composite
def scalings(draw: Any) -> tuple[int, int, tuple[float, float], tuple[int, int]]:
    """Rows, columns, the part of them that is the picture, and its final size, which is no larger."""
    height, width = draw(SIDES), draw(SIDES)
    part = width - draw(some.floats(0, 0.9)), height - draw(some.floats(0, 0.9))
    return height, width, part, (max(1, int(width * draw(SHARES))), max(1, int(height * draw(SHARES))))


@given(scalings())
def test_levels_are_those_of_lanczos_along_rows_and_then_along_columns(scaling: Any) -> None:
    height, width, part, final = scaling
    sheet = np.random.default_rng(height * width).integers(0, 256, (height, width), np.uint8)
    lanczos = Image.Resampling.LANCZOS
    wide = Image.fromarray(sheet).resize((final[0], height), lanczos, box=(0, 0, part[0], height))
    wanted = wide.resize(final, lanczos, box=(0, 0, final[0], part[1]))
    if sheet.shape != final[::-1]:
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
    if sheet.shape != final[::-1]:
        assert np.concatenate([*resampled(sheet, part, final).bands]) == pytest.approx(np.asarray(wanted), abs=1e-3)


def test_bands_see_their_neighbours_rows() -> None:
    sheet = np.random.default_rng(1).random((700, 40), np.float32)
    bands = [*resampled(sheet, (40, 699.5), (31, 333)).bands]
    wanted = Image.fromarray(sheet).resize((31, 333), Image.Resampling.HAMMING, box=(0, 0, 40, 699.5))
    assert len(bands) > 2
    assert np.concatenate(bands) == pytest.approx(np.asarray(wanted), abs=1e-4)
