"""Alignment of frames: how one is moved, by what shift, and in how much memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from mezcal.convert.fits.alignment import affine_between, move_plane
from mezcal.convert.fits.read.frame import FitsFrame, FrameHeader
from mezcal.convert.fits.read.planes import ArrayPlane


@pytest.mark.parametrize(
    "affine",
    [
        ([[1, 0], [0, 1]], [3.4, -2.7]),
        ([[0.99, 0.05], [-0.05, 0.99]], [10, 30]),
        ([[0, 1], [-1, 0]], [0, 300]),
        ([[-1, 0], [0, -1]], [200, 300]),
        ([[1, 0], [0, 1]], [0, 5000]),
    ],
    ids=["shifted", "turned", "on its side", "upside down", "elsewhere"],
)
def test_moving_a_frame_in_blocks_gives_the_same_pixels_as_moving_it_at_once(
    affine: tuple[list[Any], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.convert.fits.alignment.LARGE_BLOCK", 40)
    pixels = np.random.default_rng(1).random((300, 200), np.float32)
    matrix, zero = np.array(affine[0], float), np.array(affine[1], float)
    data = (*matrix[0].tolist(), zero[0], *matrix[1].tolist(), zero[1])
    wanted = Image.fromarray(pixels).transform((250, 310), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    got = move_plane(ArrayPlane(pixels), (matrix, zero), (310, 250))
    assert got is not None
    assert got.rows(0, 310) == pytest.approx(np.asarray(wanted), abs=1e-5)


def test_a_frame_is_not_moved_if_its_reference_is_too_large_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are averaged first instead."""
    monkeypatch.setattr("mezcal.convert.fits.alignment.WHOLE_MAX", 4 * 100 * 100)
    affine = np.eye(2), np.zeros(2)
    assert move_plane(ArrayPlane(np.ones((50, 50), np.float32)), affine, (100, 100)) is not None
    assert move_plane(ArrayPlane(np.ones((50, 50), np.float32)), affine, (100, 101)) is None


def _catalogue(x: np.ndarray, y: np.ndarray) -> fits.BinTableHDU:
    columns = {"x": x, "y": y, "flux": np.ones(len(x))}
    written = [fits.Column(name, "D", array=values) for name, values in columns.items()]
    return fits.BinTableHDU.from_columns(written, name="CAT")


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 1000.0, "CRPIX2": 1000.0}
SCALE = {"CD1_1": -1e-4, "CD2_2": 1e-4}


def _frame(stars: np.ndarray | None, **cards: Any) -> FitsFrame:
    """Returns a frame of 2000 pixels a side with the catalogue *stars*."""
    header, catalogue = fits.Header(SKY | SCALE | cards), [] if stars is None else [_catalogue(*stars.T)]
    return FitsFrame(ArrayPlane(np.zeros((2000, 2000), "u1")), FrameHeader(header, fits.Header()), catalogue)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cards", [{"WCSERR": 4}, {"WCSERR": 0}, {}], ids=["it says so", "it says it is right", "silent"]
)
def test_coordinates_that_the_stars_contradict_are_not_used(cards: dict[str, Any]) -> None:
    stars = np.random.default_rng(1).uniform(100, 1900, (60, 2))
    affine, how = affine_between(_frame(stars), _frame(stars + np.array([7, -3]), CRPIX1=1100.0, **cards))
    assert how == "catalog"
    assert affine is not None
    assert affine[1] == pytest.approx([7, -3], abs=1e-6)


def test_frames_of_different_parts_of_the_sky_do_not_overlap() -> None:
    assert affine_between(_frame(None), _frame(None, CRVAL1=151.0))[1] == "no-overlap"
    assert affine_between(_frame(None), _frame(None, CRVAL2=2.19))[1] == "wcs"


def test_coordinates_are_used_where_the_stars_agree_or_cannot_tell() -> None:
    stars = np.random.default_rng(1).uniform(100, 1900, (60, 2))
    others = np.random.default_rng(2).uniform(100, 1900, (60, 2))
    for catalogue in (stars + np.array([100, 0]), others, None):
        affine, how = affine_between(_frame(stars), _frame(catalogue, CRPIX1=1100.0))
        assert how == "wcs"
        assert affine is not None
        assert affine[1] == pytest.approx([100, 0], abs=0.01)


@pytest.mark.parametrize("cards", [
    {"A_ORDER": 10, "B_ORDER": 2},
    {"A_ORDER": 2, "B_ORDER": 10},
    {"AP_ORDER": 10, "BP_ORDER": 10},
    {"AP_ORDER": 2, "BP_ORDER": 10},
    {"WCSAXES": 10},
    {"WCSAXESA": 10},
    {"CTYPE1": "RA---TAB", "CTYPE2": "DEC--TAB", "PS1_0": "X"},
])  # fmt: skip
def test_coordinates_that_would_take_much_time_or_memory_are_not_read(cards: dict[str, Any]) -> None:
    """Astropy needs 20 seconds and gigabytes for polynomials of order 3000, or for 12000 axes."""
    assert affine_between(_frame(None), _frame(None, **cards))[1] == "none"


def test_distorted_coordinates_are_read() -> None:
    distorted = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 9, "B_ORDER": 9, "WCSAXES": 2}
    assert affine_between(_frame(None), _frame(None, **distorted))[1] == "wcs"


def test_stars_are_matched_in_little_memory() -> None:
    """The shifts between 60 stars and 60 are 3600; pairs of these are 13 million."""
    stars = np.random.default_rng(1).uniform(0, 2000, (60, 2))
    here, there = (
        FitsFrame(ArrayPlane(np.zeros((10, 10))), FrameHeader(fits.Header(), fits.Header()), [_catalogue(x, y)])
        for x, y in (stars.T, (stars + np.array([7, -3])).T)
    )
    tracemalloc.start()
    affine, how = affine_between(here, there)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert how == "catalog"
    assert affine is not None
    assert affine[1] == pytest.approx([7, -3], abs=1e-6)
    assert peak < 32 * 2**20
