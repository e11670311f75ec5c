"""Composites of frames with different exposures and pixels: a white star is white, and the sky is grey."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.flux import exposure
from mezcal.convert.fits.thumbnail import draw
from mezcal.recipe import ThumbnailOptions

if TYPE_CHECKING:
    from pathlib import Path

SIDE, STEP = 240, 1e-4  # pixels; degrees for each


def write_frame(
    path: Path, seconds: float = 60, binning: int = 1, unit: str | None = None, declination: float = 0.0
) -> None:
    """Write a frame of white stars, whose counts grow with the exposure and the area of a pixel."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE]
    light = np.zeros((SIDE, SIDE))
    for _ in range(30):
        across, along = random.uniform(10, SIDE - 10, 2)
        light += 40 * np.exp(-((x - across) ** 2 + (y - along) ** 2) / 18)
    counts = (light + 5) * (1 if unit else seconds)
    side = SIDE // binning
    counts = counts.reshape(side, binning, side, binning).sum(axis=(1, 3))
    counts += np.random.default_rng(binning).normal(0, np.sqrt(counts.mean()), counts.shape)
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": declination})
    header.update(CRPIX1=side / 2 + 0.5, CRPIX2=side / 2 + 0.5, CD1_1=-STEP * binning, CD2_2=STEP * binning)
    header.update(EXPTIME=seconds, **({"BUNIT": unit} if unit else {}))
    fits.PrimaryHDU(counts.astype("f4"), header).writeto(path)


def composite(folder: Path, paths: list[Path], look: str = "robust") -> np.ndarray:
    query = {"color": "true", "width": "240", "height": "240", "quality": "95", "look": look}
    options = ThumbnailOptions.parse(query)
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        draw(files, folder / "out.jpg", options, ConversionContext())
    with Image.open(folder / "out.jpg") as image:
        return np.asarray(image, float)


@pytest.mark.parametrize(
    "frames",
    [
        [{"seconds": 30}, {"seconds": 60}, {"seconds": 120}],
        [{"seconds": 60, "binning": 2}, {"seconds": 60}, {"seconds": 60}],
        [{"seconds": 60}, {"seconds": 60, "binning": 2}, {"seconds": 20}],
        [{"seconds": 30, "unit": "electron/s"}, {"seconds": 60, "unit": "electron/s"}, {"seconds": 9, "unit": "adu/s"}],
    ],
    ids=["exposures", "binned red", "both", "counts a second"],
)
def test_white_stars_are_white_and_the_sky_is_grey(tmp_path: Path, frames: list[dict[str, object]]) -> None:
    paths = [tmp_path / f"{number}.fits" for number in range(3)]
    for path, options in zip(paths, frames, strict=True):
        write_frame(path, **options)  # type: ignore[arg-type]
    shown = composite(tmp_path, paths)[8:-8, 8:-8]
    brightness = shown.mean(axis=2)
    stars, sky = shown[brightness > 180].mean(axis=0), np.median(shown, axis=(0, 1))
    assert np.ptp(stars) < 20, stars
    assert np.ptp(sky) <= 3, sky
    assert sky.mean() < 140


@pytest.mark.parametrize("look", ["lco", "robust"])
def test_a_frame_beside_the_others_leaves_them_visible(tmp_path: Path, look: str) -> None:
    paths = [tmp_path / f"{number}.fits" for number in range(3)]
    for path, declination in zip(paths, (0.0, 3.0, 0.0), strict=True):
        write_frame(path, declination=declination)
    red, visual, blue = composite(tmp_path, paths, look).reshape(-1, 3).max(axis=0)
    assert min(red, blue) > 200
    assert visual < 150


def test_what_one_frame_shows_is_drawn_where_the_others_end(tmp_path: Path) -> None:
    """The visual frame shows the northern half; below, red and blue are left, on a sky of the same grey."""
    paths = [tmp_path / f"{number}.fits" for number in range(3)]
    for path in paths:
        write_frame(path)
    with fits.open(paths[1], mode="update") as hdus:
        hdus[0].data[: SIDE // 2] = np.nan
    shown = composite(tmp_path, paths)
    upper, lower = shown[8 : SIDE // 2 - 8], shown[SIDE // 2 + 8 : -8]
    assert np.ptp(upper[upper.mean(axis=2) > 200].mean(axis=0)) < 20
    red, visual, blue = lower[lower[..., 0] > 230].mean(axis=0)
    assert min(red, blue) > visual + 80
    assert np.median(lower, axis=(0, 1)) == pytest.approx(np.median(upper, axis=(0, 1)), abs=8)


@pytest.mark.parametrize(("cards", "seconds"), [
    ({"EXPTIME": 30.0}, 30.0), ({"EXPTIME": 30, "BUNIT": "adu"}, 30.0), ({"EXPTIME": 30, "BUNIT": "electron"}, 30.0),
    ({"EXPTIME": 30, "BUNIT": "electron/s"}, None), ({"EXPTIME": 30, "BUNIT": "MJy/sr"}, None), ({}, None),
    ({"EXPOSURE": 30.0}, 30.0), ({"EXPTIME": 20.0, "EXPOSURE": 30.0}, 20.0),
    ({"EXPTIME": 0.0}, None), ({"EXPTIME": -1.0}, None), ({"EXPTIME": "long"}, None),
])  # fmt: skip
def test_an_exposure_counts_only_for_counts(cards: dict[str, object], seconds: float | None) -> None:
    assert exposure(fits.Header(cards)) == seconds
