"""What is drawn: north where it was asked for, padding, limits, composites, every layout of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.recipe import ThumbnailOptions
from mezcal.recipe.cutout import read_note
from tests.unit.convert.fits.cutout.frames import SCALE, SIDE, add_stars, header, sky, write

if TYPE_CHECKING:
    from pathlib import Path

CENTRE = {"ra": "150", "dec": "2", "size": "40x24"}
STARS = [(0.0, 0.0), (12.0, 0.0), (0.0, 8.0)]  # arcseconds east and north


def starry(path: Path, turn: float = 30, shift: tuple[float, float] = (0, 0), seed: int = 1, **packed: Any) -> Path:
    cards, pixels = header(turn=turn), sky(seed=seed)
    cards["CRPIX1"] += shift[0]
    cards["CRPIX2"] += shift[1]
    add_stars(pixels, cards, STARS)
    return write(path, pixels, cards, **packed)


def drawn(*paths: Path, **query: str) -> tuple[np.ndarray, tuple[str | None, dict[str, Any] | None]]:
    """Returns the picture, and what its note says."""
    target = paths[0].parent / "out.jpg"
    files = [path.open("rb") for path in paths]
    try:
        options = ThumbnailOptions.parse({"quality": "95", **query})
        picture = draw(files, target, options, ConversionContext(scratch=target.parent))
    finally:
        for file in files:
            file.close()
    with Image.open(target) as image:
        return np.asarray(image).astype(float), read_note(picture.note)


def brightest(picture: np.ndarray, count: int) -> set[tuple[int, int]]:
    """Returns where the brightest sources are: arcseconds east and north of the middle, rounded to 2."""
    grey = picture.mean(2).copy()
    found = set()
    for _ in range(count):
        y, x = np.unravel_index(grey.argmax(), grey.shape)
        east, north = (grey.shape[1] / 2 - x - 0.5) * SCALE, (grey.shape[0] / 2 - y - 0.5) * SCALE
        found.add((2 * round(east / 2), 2 * round(north / 2)))
        grey[max(0, y - 6) : y + 7, max(0, x - 6) : x + 7] = 0
    return found


@pytest.mark.parametrize("turn", [0, 30, 100, 180, 289])
def test_north_is_up_where_it_is_asked_for(tmp_path: Path, turn: float) -> None:
    shown, _ = drawn(starry(tmp_path / "a.fits", turn), **CENTRE, orient="exact", vmin="100", vmax="1200")
    assert shown.shape[:2] == (60, 100)
    assert brightest(shown, 3) == {(0, 0), (12, 0), (0, 8)}


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_cutout_is_laid_out_as_the_frames_thumbnail(tmp_path: Path, turn: float) -> None:
    shown, _ = drawn(starry(tmp_path / "a.fits", turn), **CENTRE, vmin="100", vmax="1200")
    assert brightest(shown, 3) == {(0, 0), (12, 0), (0, 8)}


def test_north_is_up_at_a_pole(tmp_path: Path) -> None:
    """CRVAL is the pole itself: north is elsewhere at every position."""
    cards, pixels = header("TAN", 0.0, 90.0, turn=0), sky()
    for east in (0.0, 90.0, 180.0):
        cards["LONPOLE"] = 180.0
        path = write(tmp_path / "a.fits", pixels, cards)
        query = {"ra": str(east), "dec": "89.99", "size": "12", "orient": "exact"}
        _, (_, cutout) = drawn(path, **query)
        assert cutout is not None
        assert cutout["covered"] == 1


def test_what_is_outside_of_the_frame_is_black_and_told(tmp_path: Path) -> None:
    path = starry(tmp_path / "a.fits")
    shown, (_, cutout) = drawn(path, x="1", y="300", size="100px")
    assert cutout is not None
    assert cutout["partial"]
    assert cutout["covered"] == pytest.approx(0.2525 + 0.0025, abs=0.01)
    assert shown[:40].max() < 10  # above the frame
    assert shown[:, :45].max() < 10
    assert shown[60:, 55:].mean() > 60
    assert not drawn(path, x="150", y="150", size="10px")[1][1]["partial"]  # type: ignore[index]


def test_limits_are_those_of_the_cutouts_pixels(tmp_path: Path) -> None:
    """The frame is a hundred times as bright elsewhere."""
    pixels = sky(noise=5)
    pixels[:, 150:] += 10_000
    path = write(tmp_path / "a.fits", pixels, fits.Header())
    shown, _ = drawn(path, x="50", y="50", size="60px")
    assert shown.std() > 30
    given, _ = drawn(path, x="50", y="50", size="60px", vmin="0", vmax="200")
    assert given.mean() == pytest.approx(127, abs=3)
    assert drawn(path, vmin="9000", vmax="12000")[0][:, 120:].mean() == pytest.approx(255 * 1100 / 3000, abs=6)


@pytest.mark.parametrize(
    "packed",
    [
        {},
        {"quantize_level": 16},
        {"quantize_level": 16, "tile_shape": (64, 64)},
        {"quantize_level": 16, "tile_shape": (100, 300)},
        {"compression_type": "GZIP_2", "quantize_level": 0},
        {"compression_type": "GZIP_1", "tile_shape": (300, 300), "quantize_level": 0},
        {"compression_type": "HCOMPRESS_1", "quantize_level": 16, "tile_shape": (32, 300)},
    ],
)
def test_every_layout_of_pixels_gives_the_same_cutout(tmp_path: Path, packed: dict[str, Any]) -> None:
    plain, _ = drawn(starry(tmp_path / "plain.fits"), **CENTRE, vmin="80", vmax="900")
    shown, _ = drawn(starry(tmp_path / "packed.fits", **packed), **CENTRE, vmin="80", vmax="900")
    assert np.abs(shown - plain).max() < 8


@pytest.mark.parametrize("orient", ["snap", "exact"])
def test_frames_of_a_composite_are_aligned_at_the_cutout(tmp_path: Path, orient: str) -> None:
    paths = [
        starry(tmp_path / "r.fits", 30),
        starry(tmp_path / "v.fits", 120, (40, -25), 2),
        starry(tmp_path / "b.fits", 33, (-7.3, 4.6), 3, quantize_level=16),
    ]
    shown, (aligned, cutout) = drawn(*paths, **CENTRE, color="true", orient=orient)
    assert aligned == "wcs"
    assert cutout is not None
    star = shown[shown.shape[0] // 2 - 2 : shown.shape[0] // 2 + 2, shown.shape[1] // 2 - 2 : shown.shape[1] // 2 + 2]
    assert star.min() > 200  # white, not three stars of three colours


def test_a_frame_of_a_composite_that_shows_another_field_is_told(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "v.fits", sky(), header(dec=3.0))
    here = starry(tmp_path / "r.fits")
    _, (aligned, _) = drawn(here, elsewhere, here, **CENTRE, color="true")
    assert aligned == "no-overlap"


def test_an_hdu_is_named_by_its_version(tmp_path: Path) -> None:
    hdus = [fits.ImageHDU(np.full((40, 40), 10.0 * version, "f4"), name="SCI", ver=version) for version in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    for name, level in (("sci,1", 10), ("SCI,2", 20), ("2", 20), ("SCI", 10)):
        shown, _ = drawn(tmp_path / "a.fits", hdu=name, vmin="0", vmax="40")
        assert shown.mean() == pytest.approx(255 * level / 40, abs=2)


def test_the_colours_of_one_file_are_cut_out_together(tmp_path: Path) -> None:
    planes = np.zeros((3, SIDE, SIDE), "u1")
    planes[0, 100:140, 100:140] = 200
    fits.PrimaryHDU(planes).writeto(tmp_path / "a.fits")
    shown, _ = drawn(tmp_path / "a.fits", x="120.5", y="120.5", size="20px")
    assert shown.shape[:2] == (20, 20)
    assert shown[..., 0].min() > 190
    assert shown[..., 1:].max() < 20
