"""Frames that are not compressed, read by our own reader: every pixel is astropy's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mezcal.convert.fits.draw.box_means import box_means
from mezcal.convert.fits.read.uncompressed import read_uncompressed

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def ours(path: Path, number: int = 0, hdu: int = 0) -> np.ndarray | None:
    with path.open("rb") as file, fits.open(file, memmap=False) as hdus:
        plane = read_uncompressed(hdus[hdu], file, number)
        return None if plane is None else np.array(plane.rows(0, plane.shape[0]))


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    shape=st.tuples(st.just(1), st.integers(1, 40), st.integers(1, 40))
    | st.tuples(st.integers(2, 3), st.integers(2, 40), st.integers(2, 40)),  # axes of one pixel are no rows
    seed=st.integers(0, 99),
)
def test_pixels_are_those_of_astropy(
    tmp_path_factory: pytest.TempPathFactory, kind: str, shape: tuple[int, int, int], seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.fits"
    pixels = np.frombuffer(np.random.default_rng(seed).bytes(int(np.prod(shape)) * 8), np.dtype(kind))
    fits.PrimaryHDU(pixels[: int(np.prod(shape))].reshape(shape)).writeto(path, overwrite=True)
    with fits.open(path, memmap=False) as hdus:
        wanted = hdus[0].data
    for number in range(shape[0]):
        got = ours(path, number)
        assert got is not None
        assert (got.dtype.kind, got.dtype.itemsize) == (wanted.dtype.kind, wanted.dtype.itemsize)
        assert np.array_equal(got, wanted[number], equal_nan=kind[0] == "f")


def test_single_pixels_are_those_of_the_rows(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.arange(600, dtype="u2").reshape(20, 30)).writeto(tmp_path / "frame.fits")
    with (tmp_path / "frame.fits").open("rb") as file, fits.open(file) as hdus:
        plane = read_uncompressed(hdus[0], file, 0)
        assert plane is not None
        assert plane.pixels_at(np.array([0, 31, 599])).tolist() == [0, 31, 599]


@pytest.mark.parametrize("cards", [{"BSCALE": 2.0}, {"BZERO": 5.0}, {"BLANK": 3}])
def test_scaled_frames_are_not_read_here(tmp_path: Path, cards: dict[str, float]) -> None:
    hdu = fits.ImageHDU(np.ones((5, 5), "i2"))
    hdu.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), hdu, fits.CompImageHDU(np.ones((5, 5), "i2"))]).writeto(tmp_path / "frame.fits")
    assert ours(tmp_path / "frame.fits", hdu=1) is None
    assert ours(tmp_path / "frame.fits", hdu=2) is None


@settings(max_examples=100)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    by=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    unknown=st.lists(st.integers(0, 1599), max_size=200),
)
def test_a_box_is_the_mean_of_the_numbers_in_it(
    shape: tuple[int, int], by: tuple[int, int], unknown: list[int]
) -> None:
    block = np.random.default_rng(1).normal(500, 50, shape).astype("f4")
    block.flat[[place % block.size for place in unknown]] = np.nan
    means = box_means(block, by)
    for row, column in np.ndindex(means.shape):
        box = block[row * by[1] : row * by[1] + by[1], column * by[0] : column * by[0] + by[0]]
        known = box[np.isfinite(box)]
        expected = known.mean(dtype=float) if known.size else np.nan
        assert means[row, column] == pytest.approx(expected, rel=1e-5, nan_ok=True)
