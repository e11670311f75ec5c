"""Overlays show true directions, lengths and positions, and stay readable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from mezcal.convert.fits.draw.overlays.compass import LENGTHS, length_text
from mezcal.convert.fits.draw.overlays.grid import dec_text, ra_text
from mezcal.convert.fits.draw.overlays.pen import YELLOW
from mezcal.errors import BadRecipe, NoSuchSection
from mezcal.recipe import ThumbnailOptions
from tests.unit.convert.fits.cutout.frames import SCALE, add_stars, header, sky, write
from tests.unit.convert.fits.cutout.test_pictures import CENTRE, drawn, starry

if TYPE_CHECKING:
    from pathlib import Path

PRIME = "\N{PRIME}"
DARK = {"vmin": "0", "vmax": "100000"}  # so that only overlays are bright


def coloured(picture: np.ndarray, colour: tuple[int, int, int] = YELLOW) -> np.ndarray:
    """Returns rows and columns of the pixels that have about this colour."""
    return np.argwhere(np.abs(picture - colour).max(axis=2) < 90)


@pytest.mark.parametrize("orient", ["snap", "exact"])
@pytest.mark.parametrize("turn", [0, 30, 200])
@pytest.mark.parametrize("query", [{**CENTRE, "zoom": "4"}, {"width": "250", "height": "250"}])
def test_a_circle_is_around_its_position(tmp_path: Path, orient: str, turn: float, query: dict[str, str]) -> None:
    """A star and a circle at the same position have the same middle, in cutouts and in whole frames."""
    path = starry(tmp_path / "a.fits", turn)
    dark = {**query, "orient": orient, "quality": "95"}
    stars, _ = drawn(path, **dark, vmin="150", vmax="500")
    marked, _ = drawn(path, **dark, **DARK, circle="150,2,3")
    places = coloured(marked)
    assert len(places) > 8
    centre = (places.min(axis=0) + places.max(axis=0)) / 2
    star = np.argwhere(stars.mean(2) > 128)
    near = star[np.hypot(*(star - centre).T) < 5 * int(query.get("zoom", 1))]
    assert len(near)
    assert np.hypot(*(near.mean(axis=0) - centre)) < 1.5


def test_a_circle_has_its_radius(tmp_path: Path) -> None:
    shown, _ = drawn(starry(tmp_path / "a.fits"), **CENTRE, **DARK, zoom="4", circle="center,6")
    places = coloured(shown)
    width = places[:, 1].max() - places[:, 1].min()
    assert width == pytest.approx(2 * 6 / SCALE * 4, abs=4)


def test_a_crosshair_leaves_its_position_free(tmp_path: Path) -> None:
    shown, _ = drawn(starry(tmp_path / "a.fits"), **CENTRE, **DARK, zoom="4", crosshair="center")
    places = coloured(shown)
    middle = np.array(shown.shape[:2]) / 2
    assert np.abs(places.mean(axis=0) - middle).max() < 4
    assert np.hypot(*(places - middle).T).min() > 3


def test_marks_outside_of_the_picture_are_not_drawn(tmp_path: Path) -> None:
    path = starry(tmp_path / "a.fits")
    shown, _ = drawn(path, **CENTRE, **DARK, zoom="4", crosshair="150.1,2;330,-2", circle="150.1,2,1;330,-2,5")
    assert not len(coloured(shown))


def test_the_scale_bar_has_the_length_that_it_says(tmp_path: Path) -> None:
    """40 arcseconds are 400 pixels: the longest round length below three tenths is 10 arcseconds."""
    shown, _ = drawn(starry(tmp_path / "a.fits"), **CENTRE, **DARK, zoom="4", scalebar="true")
    row = shown.mean(2)[-8]
    bright = np.flatnonzero(row > 150)
    assert bright.max() - bright.min() == pytest.approx(10 / SCALE * 4, abs=3)


def test_the_compass_points_north_and_east(tmp_path: Path) -> None:
    plain, _ = drawn(starry(tmp_path / "a.fits", 0), **CENTRE, **DARK, zoom="4")
    shown, _ = drawn(starry(tmp_path / "a.fits", 0), **CENTRE, **DARK, zoom="4", compass="true")
    lines = np.argwhere((shown - plain).mean(2) > 150)
    corner = lines.max(axis=0)  # where both arrows begin
    assert corner[1] > 0.95 * shown.shape[1]
    assert corner[0] < 0.3 * shown.shape[0]
    assert lines[:, 1].min() < corner[1] - 20, "east is left"
    assert lines[:, 0].min() < corner[0] - 20, "north is up"


@pytest.mark.parametrize(("ra", "dec"), [(150.0, 2.0), (0.0, 0.0), (10.0, 90.0), (45.0, -89.99)])
def test_a_grid_is_drawn_anywhere(tmp_path: Path, ra: float, dec: float) -> None:
    path = write(tmp_path / "a.fits", sky(), header("TAN", ra, dec))
    plain, _ = drawn(path, **DARK, width="300", height="300")
    shown, _ = drawn(path, **DARK, width="300", height="300", grid="true")
    changed = (np.abs(shown - plain).max(2) > 30).mean()
    assert 0.005 < changed < 0.25


def test_a_line_of_the_grid_goes_through_its_position(tmp_path: Path) -> None:
    """With north up, the star at a round declination and right ascension is where two lines cross."""
    pixels, cards = sky(), header(turn=0)
    add_stars(pixels, cards, [(0, 0)])
    path = write(tmp_path / "a.fits", pixels, cards)
    shown, _ = drawn(path, **CENTRE, **DARK, zoom="4", grid="true", orient="exact")
    blue = shown[..., 2] - shown[..., 0]
    middle = shown.shape[0] // 2, shown.shape[1] // 2
    assert blue[middle[0] - 2 : middle[0] + 2, 150:250].max(axis=0).min() > 20
    assert blue[60:180, middle[1] - 2 : middle[1] + 2].max(axis=1).min() > 20


@pytest.mark.parametrize("query", [{"compass": "1"}, {"scalebar": "1"}, {"grid": "1"}, {"circle": "150,2,3"}])
def test_overlays_of_the_sky_need_coordinates(tmp_path: Path, query: dict[str, str]) -> None:
    path = write(tmp_path / "a.fits", sky(), fits.Header())
    with pytest.raises(NoSuchSection, match="no sky coordinates"):
        drawn(path, **query)
    shown, _ = drawn(path, x="50", y="50", size="20px", zoom="4", crosshair="center", **DARK)
    assert len(coloured(shown))


@pytest.mark.parametrize("size", ["1px", "3x1px", "1x40px"])
def test_tiny_pictures_with_all_overlays_are_drawn(tmp_path: Path, size: str) -> None:
    query = {"compass": "1", "scalebar": "1", "grid": "1", "crosshair": "center", "circle": "center,1", "label": "x"}
    shown, _ = drawn(starry(tmp_path / "a.fits"), ra="150", dec="2", size=size, **query)
    assert shown.size


def test_a_zoom_with_nearest_repeats_each_pixel(tmp_path: Path) -> None:
    pixels = (np.add.outer(np.arange(40), np.arange(40)) % 2 * 100).astype("f4")
    path = write(tmp_path / "a.fits", pixels, fits.Header())
    query = {"x": "20", "y": "20", "size": "6px", "zoom": "8", "vmin": "0", "vmax": "100"}
    shown, _ = drawn(path, **query, resample="nearest")
    assert shown.shape[:2] == (48, 48)
    squares = shown.mean(2).reshape(6, 8, 6, 8).mean((1, 3))
    assert np.abs(np.diff(squares, axis=0)).min() > 200
    smooth, _ = drawn(path, **query)
    assert np.ptp(smooth.mean(2).reshape(6, 8, 6, 8)[2, :, 2]) > 50


def test_a_zoom_stays_inside_width_and_height(tmp_path: Path) -> None:
    shown, _ = drawn(starry(tmp_path / "a.fits"), **CENTRE, zoom="8", width="150")
    assert shown.shape[:2] == (90, 150)


def test_lengths_have_the_unit_that_suits_them() -> None:
    assert [length_text(length) for length in (0.5, 10, 60, 600, 3600)] == [
        "0.5″",
        "10″",
        f"1{PRIME}",
        f"10{PRIME}",
        "1°",
    ]
    assert sorted(LENGTHS) == LENGTHS


def test_coordinates_have_the_digits_that_their_step_needs() -> None:
    assert ra_text(36_000.5, 0.5) == "10h00m00.5s"
    assert ra_text(36_060, 60) == "10h01m"
    assert ra_text(36_000, 3600) == "10h"
    assert dec_text(-3661, 1) == f"-1°01{PRIME}01″"
    assert dec_text(7200, 3600) == "+2°"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"crosshair": "150"}, "crosshair is '150': it may be center, or positions"),
        ({"crosshair": "150,91"}, "crosshair is"),
        ({"crosshair": "150,2;"}, None),
        ({"crosshair": ";".join(["1,1"] * 51)}, "50 at most"),
        ({"circle": "150,2"}, "circle is '150,2': it may be center,5arcsec"),
        ({"circle": "150,2,-1"}, "circle is"),
        ({"circle": "150,2,nan"}, "circle is"),
        ({"circle": "150,2,9px"}, "circle is"),
        ({"circle": "10:00:00,+02:00:00,2arcmin"}, None),
        ({"circle": "center"}, "circle is"),
        ({"compass": "maybe"}, "compass is 'maybe'"),
        ({"zoom": "0.5"}, "zoom is '0.5': it may be a number from 1 to 32"),
        ({"zoom": "nan"}, "zoom is"),
        ({"zoom": "33"}, "zoom is"),
        ({"resample": "cubic"}, "smooth or nearest"),
        ({"look": "lco", "grid": "1"}, "belongs to look=robust"),
    ],
)
def test_overlays_are_checked(query: dict[str, str], text: str | None) -> None:
    if text is None:
        options = ThumbnailOptions.parse(query)
        assert ThumbnailOptions.parse(options.as_json(), max_edge=65_535) == options
        return
    with pytest.raises(BadRecipe, match=text):
        ThumbnailOptions.parse(query)


def test_overlays_that_are_not_asked_for_are_not_in_the_recipe() -> None:
    query = {"compass": "false", "grid": "no", "crosshair": "", "zoom": "1", "resample": "smooth"}
    assert ThumbnailOptions.parse(query).as_json() == ThumbnailOptions.parse({}).as_json() | {
        "width": 200,
        "height": 200,
    }
    assert ThumbnailOptions.parse({"compass": "1"}).as_json()["compass"] is True
