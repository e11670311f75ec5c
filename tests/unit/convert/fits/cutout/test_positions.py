"""A cutout is where astropy's `Cutout2D` is, in every projection; what a frame does not show is refused."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D

from mezcal.convert import ConversionContext
from mezcal.convert.fits.cutout.overlap import share_inside
from mezcal.convert.fits.cutout.placement import place_cutout
from mezcal.convert.fits.read.frame import open_frame
from mezcal.errors import NoSuchSection
from mezcal.recipe import ThumbnailOptions
from tests.unit.convert.fits.cutout.frames import SIDE, header, sky, write

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.convert.fits.cutout.placement import PlacedCutout


def placed(path: Path, **query: str) -> PlacedCutout:
    options = ThumbnailOptions.parse(query)
    assert options.cutout is not None
    with path.open("rb") as file, open_frame(file, options, ConversionContext()) as frame:
        return place_cutout(frame, options.cutout, options)


@pytest.mark.parametrize(("x", "y", "size"), [(50, 60, 41), (50.4, 60.6, 40), (3, 297.5, 21), (150.49, 150.51, 1)])
def test_pixels_are_counted_as_fits_counts_them(tmp_path: Path, x: float, y: float, size: int) -> None:
    path = write(tmp_path / "frame.fits", sky(), fits.Header())
    section = placed(path, x=str(x), y=str(y), size=f"{size}px").section
    wanted = Cutout2D(np.zeros((SIDE, SIDE)), (x - 1, y - 1), size, mode="partial")
    assert max(0, section.left) == wanted.xmin_original
    assert max(0, section.bottom) == wanted.ymin_original
    assert (section.width, section.height) == (size, size)


def test_a_size_on_the_sky_follows_the_pixels_scale(tmp_path: Path) -> None:
    cards = header(turn=0)
    cards["CD2_2"] *= 2  # pixels that are twice as high
    section = placed(write(tmp_path / "frame.fits", sky(), cards), ra="150", dec="2", size="40x20").section
    assert (section.width, section.height) == (100, 25)


def test_width_and_height_are_those_of_the_picture_in_a_frame_on_its_side(tmp_path: Path) -> None:
    found = placed(write(tmp_path / "frame.fits", sky(), header(turn=90)), ra="150", dec="2", size="40x20")
    assert (found.section.width, found.section.height) == (50, 100)
    assert found.size == (100, 50)


def test_a_galactic_frame_is_found_by_right_ascension(tmp_path: Path) -> None:
    cards = header(CTYPE1="GLON-TAN", CTYPE2="GLAT-TAN", CRVAL1=30.0, CRVAL2=40.0)
    centre = SkyCoord(30, 40, unit="deg", frame="galactic").icrs
    path = write(tmp_path / "frame.fits", sky(), cards)
    found = placed(path, ra=repr(float(centre.ra.deg)), dec=repr(float(centre.dec.deg)), size="9px")
    assert found.section.centre == pytest.approx((SIDE / 2 + 2.3, SIDE / 2 - 6.1), abs=0.01)


def test_an_all_sky_map_is_found_across_its_edge(tmp_path: Path) -> None:
    """CRVAL is at the left edge, so that wcslib's inverse is a turn away."""
    cards = fits.Header({"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL1": 0.0, "CRVAL2": 0.0})
    cards.update({"CRPIX1": 0.5, "CRPIX2": 90.5, "CDELT1": 1.0, "CDELT2": 1.0})
    path = write(tmp_path / "frame.fits", np.zeros((180, 360), "f4"), cards)
    assert placed(path, ra="350.5", dec="10.5", size="9px").section.centre == pytest.approx((350, 100), abs=0.01)


def test_tables_of_distortion_are_left_out(tmp_path: Path) -> None:
    cards = header(CPDIS1="LOOKUP", CPDIS2="LOOKUP")
    cards["DP1.EXTVER"], cards["DP1.AXIS.1"] = 1.0, 1.0
    found = placed(write(tmp_path / "frame.fits", sky(), cards), ra="150", dec="2", size="9px")
    assert found.section.centre == pytest.approx((SIDE / 2 + 2.3, SIDE / 2 - 6.1), abs=0.01)


def test_the_share_that_is_covered_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "frame.fits", sky(), fits.Header())
    assert placed(path, x="0.5", y="150", size="100px").covered == 0.5
    assert placed(path, x="0.5", y="0.5", size="100px").description["section"] == "[-49:50,-49:50]"


@pytest.mark.parametrize(
    ("query", "arcsec"),
    [({"ra": "150", "dec": "3"}, 3540), ({"ra": "330", "dec": "-2"}, 647_900), ({"ra": "150.05", "dec": "2"}, 100)],
)
def test_a_position_outside_is_refused_with_its_distance(tmp_path: Path, query: dict[str, str], arcsec: float) -> None:
    path = write(tmp_path / "frame.fits", sky(), header())
    with pytest.raises(NoSuchSection, match=r"the frame does not show .* away") as raised:
        placed(path, **query, size="10")
    distance = float(raised.value.detail.split()[-3].replace(",", ""))
    assert distance == pytest.approx(arcsec, abs=80)


def test_a_section_outside_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "frame.fits", sky(), fits.Header())
    with pytest.raises(NoSuchSection, match="300 x 300 pixels"):
        placed(path, x="1000", y="5", size="100px")


@pytest.mark.parametrize(
    ("cards", "query"),
    [
        ({}, {"ra": "150", "dec": "2", "size": "10"}),
        ({}, {"x": "5", "y": "5", "size": "10arcsec"}),
        ({**header(), "WCSERR": 4}, {"ra": "150", "dec": "2", "size": "10"}),
        ({**header(), "A_ORDER": 99, "CTYPE1": "RA---TAN-SIP"}, {"ra": "150", "dec": "2", "size": "10"}),
        ({**header(), "CD1_1": 0, "CD1_2": 0}, {"ra": "150", "dec": "2", "size": "10"}),
        ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, {"ra": "150", "dec": "2", "size": "10"}),
        ({**header(), "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}, {"ra": "150", "dec": "2", "size": "10"}),
    ],
)
def test_a_frame_without_usable_coordinates_is_refused(
    tmp_path: Path, cards: dict[str, Any], query: dict[str, str]
) -> None:
    path = write(tmp_path / "frame.fits", sky(), fits.Header(cards))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(NoSuchSection, match=r"coordinates|axes|scale"):
            placed(path, **query)


def test_a_section_far_larger_than_the_frame_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "frame.fits", sky(), header())
    with pytest.raises(NoSuchSection, match="at most twice"):
        placed(path, ra="150", dec="2", size="1deg")
    assert placed(path, ra="150", dec="2", size="10arcmin").covered < 0.1
    assert placed(path, ra="150", dec="2", size="4096px", orient="exact").covered < 0.1


@pytest.mark.parametrize("orient", ["snap", "exact"])
def test_a_large_cutout_of_a_small_frame_is_drawn_whatever_its_orientation(tmp_path: Path, orient: str) -> None:
    """The frame is a ten thousandth of the cutout, and its middle is outside."""
    path = write(tmp_path / "a.fits", sky()[:40, :40], header(turn=0))
    found = placed(path, x="-25", y="20", size="4096px", orient=orient)
    assert found.covered == pytest.approx(40 * 40 / 4096**2, rel=0.01)


def test_the_share_of_a_turned_rectangle_in_a_frame_is_exact() -> None:
    diamond = np.array([[0.0, -10], [10, 0], [0, 10], [-10, 0]])
    assert share_inside(diamond + 50, (100, 100)) == 1
    assert share_inside(diamond, (100, 100)) == 0.25
    assert share_inside(diamond + np.array([50, 0]), (100, 100)) == 0.5
    assert share_inside(diamond - 11, (100, 100)) == 0
    assert share_inside(np.array([[-1e4, -1e4], [1e4, -1e4], [1e4, 1e4], [-1e4, 1e4]]), (3, 2)) == 6 / 4e8
