"""The sizes of the levels, and the mean that leads from one to the next."""

from __future__ import annotations

import numpy as np
import pytest

from mezcal.convert.pyramid.levels import halved, levels_of
from tests.support.pyramids import mean_of_four, photo


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((1, 1), [(1, 1)]),
        ((256, 256), [(256, 256)]),
        ((257, 10), [(257, 10), (129, 5)]),
        ((1000, 701), [(1000, 701), (500, 351), (250, 176)]),
        ((2049, 3), [(2049, 3), (1025, 2), (513, 1), (257, 1), (129, 1)]),
    ],
)
def test_sides_are_halved_and_rounded_up_until_one_tile_is_left(size, sizes):
    assert [(level.width, level.height) for level in levels_of(*size, 256)] == sizes


def test_a_picture_of_a_gigapixel_has_eight_levels():
    levels = levels_of(32_000, 32_000, 256)
    assert len(levels) == 8
    assert sum(level.tiles for level in levels) < 1.35 * levels[0].tiles


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_level_is_the_mean_of_four_pixels(bands, dtype):
    pixels = photo(48, 32, bands, dtype)
    pixels[:4, :4] = np.iinfo(pixels.dtype).max
    assert (halved(pixels) == mean_of_four(pixels)).all()
    assert halved(pixels).dtype == pixels.dtype


def test_what_is_transparent_adds_no_colour():
    """A red pixel between three clear ones that are green by chance becomes red, and a quarter as opaque."""
    pixels = np.array([[[255, 0, 0, 200], [0, 255, 0, 0]], [[0, 255, 0, 0], [0, 255, 0, 0]]], "u1")
    assert halved(pixels, alpha=True).tolist() == [[[255, 0, 0, 50]]]


def test_pixels_that_are_all_transparent_keep_their_mean_colour():
    pixels = np.array([[[10, 0], [20, 0]], [[30, 0], [40, 0]]], "u1")
    assert halved(pixels, alpha=True).tolist() == [[[25, 0]]]


def test_an_opaque_picture_with_alpha_has_the_levels_of_one_without():
    opaque = np.dstack([photo(64, 64), np.full((64, 64), 255, "u1")])
    assert (halved(opaque, alpha=True)[..., :3] == halved(opaque[..., :3])).all()
