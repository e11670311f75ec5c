"""Frames whose red, green and blue are in one file, as planes of a cube or next to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from mezcal.convert import ConversionContext, ConversionOptions
from mezcal.convert.fits.read.frame import open_frame
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import TooLarge
from mezcal.recipe import ThumbnailOptions

if TYPE_CHECKING:
    from pathlib import Path

ROWS, COLUMNS = 48, 64
STAR = np.s_[30:36, 40:46]  # of a picture whose rows begin at the top
LOOKS = ("robust", "lco")
ORDERS = {"planes": 0, "rows": 1, "pixels": 2}  # the axis of numpy that counts the colours


def light() -> np.ndarray:
    """Returns a sky with noise and one star, on the right below."""
    pixels = np.random.default_rng(4).normal(100, 2, (ROWS, COLUMNS))
    y, x = np.mgrid[:ROWS, :COLUMNS]
    pixels += 3000 * np.exp(-((x - 42.5) ** 2 + (y - (ROWS - 1 - 32.5)) ** 2) / 30)
    return pixels


def colours(axis: int = 0, factors: tuple[float, ...] = (2, 1, 0.5)) -> np.ndarray:
    """Returns a frame whose star is orange: green and blue are fainter."""
    return np.stack([light() * factor for factor in factors], axis).astype("f4")


def shown(folder: Path, hdu: Any, **query: str) -> np.ndarray:
    path = folder / "frame.fits"
    fits.HDUList([hdu] if isinstance(hdu, fits.PrimaryHDU) else [fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    with path.open("rb") as file:
        options = ThumbnailOptions.parse({"quality": "95", **query})
        found = draw([file], folder / "out.jpg", options, ConversionContext(scratch=folder))
    assert found.note is None  # nothing was aligned
    with Image.open(folder / "out.jpg") as image:
        return np.asarray(image, float)


def is_grey(picture: np.ndarray) -> bool:
    return bool(np.ptp(picture, axis=-1).max() == 0)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", ["f4", "u2"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("compressed", [False, True])
def test_the_colours_of_one_file_are_shown(tmp_path: Path, look: str, kind: str, order: str, compressed: bool) -> None:
    pixels = colours(ORDERS[order]).astype(kind)
    picture = shown(tmp_path, fits.CompImageHDU(pixels) if compressed else fits.ImageHDU(pixels), look=look)
    assert picture.shape == (ROWS, COLUMNS, 3)
    red, green, blue = picture[STAR].mean(axis=(0, 1))
    assert red > green + 5 > blue + 10 if look == "robust" else red >= green > blue + 5
    sky = np.median(picture[:20], axis=(0, 1))
    assert np.ptp(sky) < 12


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("order", ORDERS)
def test_a_plane_that_is_asked_for_is_grey(tmp_path: Path, look: str, order: str) -> None:
    hdu = fits.PrimaryHDU(colours(ORDERS[order]))
    picture = shown(tmp_path, hdu, look=look, plane="2")
    assert picture.shape == (ROWS, COLUMNS, 3)
    assert is_grey(picture)


def test_bytes_are_a_finished_picture_and_keep_their_colours(tmp_path: Path) -> None:
    """Their sky is no light to subtract, and their limits were chosen by whoever made them."""
    pixels = np.zeros((ROWS, COLUMNS, 4), "u1")  # with an alpha channel
    pixels[:] = 200, 120, 30, 255
    picture = shown(tmp_path, fits.PrimaryHDU(pixels))
    assert np.abs(picture - [200, 120, 30]).max() < 3


@pytest.mark.parametrize(
    "hdu",
    [
        fits.PrimaryHDU(colours(), fits.Header({"CTYPE3": "STOKES"})),
        fits.PrimaryHDU(colours(), fits.Header({"CTYPE3": "FREQ"})),
        fits.PrimaryHDU(colours(2), fits.Header({"CTYPE1": "WAVE"})),
        fits.PrimaryHDU(colours(factors=(1, 1, 1, 1))),
        fits.PrimaryHDU(colours(factors=(1, 1))),
        fits.PrimaryHDU(colours(factors=(float("nan"), 1, 2))),
        fits.PrimaryHDU(colours()[:, :3, :]),
    ],
    ids=["polarisation", "frequencies", "wavelengths", "four planes", "two planes", "an empty plane", "three rows"],
)
def test_other_cubes_are_grey(tmp_path: Path, hdu: fits.PrimaryHDU) -> None:
    assert is_grey(shown(tmp_path, hdu))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes_of_one_pixel_are_left_out(tmp_path: Path, axis: int) -> None:
    pixels = light().astype("f4")
    usual = shown(tmp_path, fits.PrimaryHDU(pixels))
    assert np.array_equal(shown(tmp_path, fits.PrimaryHDU(np.expand_dims(pixels, axis))), usual)
    assert usual.shape == (ROWS, COLUMNS, 3)


def test_colours_next_to_each_other_count_as_one_pixel_and_are_read_together(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    fits.PrimaryHDU(colours(2)).writeto(path)
    options = ThumbnailOptions.parse({})
    with path.open("rb") as file, open_frame(file, options, ConversionContext()) as frame:
        assert [plane.shape for plane in frame.colours] == [(ROWS, COLUMNS)] * 3
        assert frame.plane.decoding_bytes >= 2 * 4 * 3 * COLUMNS * ROWS
    few = ConversionContext(ConversionOptions(max_pixels=ROWS * COLUMNS - 1))
    with path.open("rb") as file, pytest.raises(TooLarge, match="64 x 48 pixels"), open_frame(file, options, few):
        pass
