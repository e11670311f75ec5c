"""The robust look: stable limits, hues of the sources, readable labels; and alignment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.draw.label import draw_label
from mezcal.convert.fits.draw.robust import ZSCALE_SAMPLES, limits
from mezcal.convert.fits.thumbnail import draw
from mezcal.recipe import ThumbnailOptions
from mezcal.recipe.bands import STRETCHES
from mezcal.recipe.thumbnail_options import COLORMAPS, LIMITS
from tests import DATA

FRAMES = DATA / "fits"


def sky(side: int = 300, level: float = 500, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, 10, (side, side)).astype("f4")


def drawn(folder: Path, *frames: np.ndarray | Path, **query: str) -> tuple[np.ndarray, str | None]:
    """Returns the picture and its notes."""
    files = []
    for number, frame in enumerate(frames):
        path = frame
        if not isinstance(path, Path):
            path = folder / f"{number}.fits"
            fits.PrimaryHDU(frame).writeto(path, overwrite=True)
        files.append(path.open("rb"))
    try:
        options = ThumbnailOptions.parse({"quality": "95", **query})
        picture = draw(files, folder / "out.jpg", options, ConversionContext(scratch=folder))
    finally:
        for file in files:
            file.close()
    with Image.open(folder / "out.jpg") as image:
        return np.asarray(image).astype(float), picture.note


def test_contrast_does_not_depend_on_which_pixels_are_sampled(tmp_path: Path) -> None:
    """In the lco look, a frame that is shifted by a few pixels may be nine times as bright."""
    pixels = sky(400)
    pixels[::7, ::11] += 3000
    shown = [drawn(tmp_path, np.roll(pixels, shift, 1))[0].mean() for shift in range(4)]
    assert max(shown) - min(shown) < 8  # of 255


def test_zscale_samples_all_of_the_frame() -> None:
    """The last third of the samples counts as much as the first."""
    values = np.random.default_rng(1).normal(500, 10, (1, ZSCALE_SAMPLES * 3 // 2)).astype("f4")
    values[:, ZSCALE_SAMPLES:] += 300
    options = ThumbnailOptions.parse({"limits": "zscale"})
    found, mirrored = limits(values, options), limits(values[:, ::-1].copy(), options)
    assert (found.black, found.white) == pytest.approx((mirrored.black, mirrored.white), rel=0.02)


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("limits", LIMITS)
def test_brighter_stays_brighter_under_every_stretch(tmp_path: Path, stretch: str, limits: str) -> None:
    ramp = np.tile(np.linspace(0, 1000, 256, dtype="f4"), (64, 1))
    shown, _ = drawn(tmp_path, ramp, stretch=stretch, limits=limits, width="256", height="256")
    steps = np.diff(shown[..., 0].mean(0))
    assert steps.min() > -2
    assert shown[:, -1].mean() > 250


def test_inverted_is_the_negative(tmp_path: Path) -> None:
    plain, _ = drawn(tmp_path, sky())
    inverted, _ = drawn(tmp_path, sky(), invert="true")
    assert np.abs(plain + inverted - 255).mean() < 2


@pytest.mark.parametrize("name", [name for name in COLORMAPS if name != "gray"])
def test_a_colormap_goes_from_dark_to_light(tmp_path: Path, name: str) -> None:
    ramp = np.tile(np.arange(256, dtype="f4"), (64, 1))
    shown, _ = drawn(tmp_path, ramp, limits="minmax", width="256", height="256", colormap=name)
    light = shown.mean((0, 2))
    assert light[250] > light[128] > light[5]
    assert np.ptp(shown[:, 128].mean(0)) > 10


def test_the_hue_of_a_composite_is_that_of_the_sources(tmp_path: Path) -> None:
    """A source that is equally bright in all three is white, whatever their skies. One in red alone is red."""
    planes = [sky(level=level, seed=seed) for seed, level in enumerate((200, 900, 5000))]
    for plane in planes:
        plane[50:80, 50:80] += 4000
    planes[0][200:230, 200:230] += 100_000
    shown, _ = drawn(tmp_path, *planes, color="true", width="300", height="300")
    white, red = shown[-65, 65], shown[-215, 215]
    assert white.min() > 240
    assert red[0] > 240
    assert red[1:].max() < 30
    assert shown[-150:-140, 140:150].mean() < 120  # the sky is grey


def test_frames_without_coordinates_are_aligned_by_their_catalogues(tmp_path: Path) -> None:
    frames = []
    for colour in "RVB":
        frames.append(tmp_path / f"{colour}.fits.fz")
        with fits.open(FRAMES / f"rvbs_{colour}.fits.fz") as hdus:
            for name in ("CTYPE1", "CTYPE2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"):
                del hdus[1].header[name]
            hdus.writeto(frames[-1])
    shown, note = drawn(tmp_path, *frames, look="lco", color="true", width="600", height="600", quality="80")
    assert note == "aligned=catalog"
    with Image.open(FRAMES / "color_rvbs.expected.jpg") as image:
        error = ((shown - np.asarray(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM))) ** 2).mean()
        turned = ((shown - np.asarray(image)) ** 2).mean()
    assert min(error, turned) < 255**2 / 10**2.5


def starry(dx: float = 0, dy: float = 0, *, side: int = 600, level: float = 500, seed: int = 1) -> np.ndarray:
    """Returns the same stars on another sky, moved by some pixels, with hot pixels that are not moved."""
    places = np.random.default_rng(42).uniform(40, side - 40, (50, 2))
    light = np.random.default_rng(43).uniform(300, 5000, 50)
    rows, columns = np.mgrid[:side, :side]
    pixels = sky(side, level, seed)
    for (x, y), peak in zip(places + np.array([dx, dy]), light, strict=True):
        pixels += (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)).astype("f4")
    hot = np.random.default_rng(44).integers(0, side, (100, 2))
    pixels[hot[:, 0], hot[:, 1]] = 60_000
    return pixels


def test_frames_without_coordinates_and_catalogue_are_aligned_by_their_stars(tmp_path: Path) -> None:
    """Each star is one white dot, not a red, a green and a blue one."""
    frames = starry(), starry(7.4, -3.2, level=900, seed=2), starry(-11.7, 5.1, level=200, seed=3)
    shown, note = drawn(tmp_path, *frames, color="true", width="600", height="600")
    assert note == "aligned=stars"
    x, y = np.random.default_rng(42).uniform(40, 560, (50, 2))[0].round().astype(int)
    dot = shown[599 - y - 2 : 599 - y + 3, x - 2 : x + 3].mean((0, 1))
    assert dot.min() > 100
    assert np.ptp(dot) < 40


@pytest.mark.parametrize("wrong", [{"CTYPE2": "GLAT-TAN"}, {"CD2_2": 0.0}, {"CD1_1": "N/A"}])
def test_frames_with_unusable_coordinates_are_aligned_by_their_stars(tmp_path: Path, wrong: dict[str, Any]) -> None:
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX1": 300.0, "CRPIX2": 300.0, "CD1_1": -1e-4, "CD2_2": 1e-4, **wrong})
    paths = []
    for number, pixels in enumerate([starry(), starry(7.4, -3.2, level=900, seed=2), starry(-11.7, 5.1, seed=3)]):
        paths.append(tmp_path / f"{number}.fits")
        fits.PrimaryHDU(pixels, header).writeto(paths[-1])
    assert drawn(tmp_path, *paths, color="true")[1] == "aligned=stars"


@pytest.mark.parametrize(("moved", "way"), [(0.0, "wcs"), (53.0, "stars")])
def test_coordinates_are_checked_by_the_stars_of_frames_without_catalogues(
    tmp_path: Path, moved: float, way: str
) -> None:
    """The second frame says that it is elsewhere; its pixels show the same stars at the same places."""
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX2": 300.0, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4})
    paths = []
    for number in range(3):
        header["CRPIX1"] = 300.0 + (moved if number == 1 else 0)
        paths.append(tmp_path / f"{number}.fits")
        fits.PrimaryHDU(starry(seed=number), header).writeto(paths[-1])
    assert drawn(tmp_path, *paths, color="true")[1] == f"aligned={way}"


def test_frames_of_different_fields_are_not_aligned(tmp_path: Path) -> None:
    other = starry(seed=2)[::-1].copy()
    _, note = drawn(tmp_path, starry(), other, other.T.copy(), color="true")
    assert note == "aligned=none"


def test_frames_without_common_stars_are_drawn_without_alignment(tmp_path: Path) -> None:
    _, note = drawn(tmp_path, sky(), sky(200), sky(250), color="true")
    assert note == "aligned=none"


@pytest.mark.parametrize(
    "text", ["short", "So many stars", "x" * 200, "\u0398\u03b7\u03c4\u03b1 \u0437\u0432\u0435\u0437\u0434\u0430"]
)
@pytest.mark.parametrize("width", [40, 200])
def test_a_label_fits_and_leaves_its_margin(text: str, width: int) -> None:
    picture = Image.new("RGB", (width, 100))
    draw_label(picture, text, outlined=False)
    left, top, right, bottom = picture.getbbox() or (0, 0, 0, 0)
    assert left >= 4
    assert right <= width
    assert 70 <= top < bottom <= 96


def test_a_label_can_be_read_on_white() -> None:
    picture = Image.new("RGB", (200, 100), "white")
    draw_label(picture, "label", outlined=True)
    assert np.asarray(picture).min() < 50
