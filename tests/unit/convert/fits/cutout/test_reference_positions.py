"""A position is where wcslib's own program, WCSTools and astropy's `Cutout2D` find it, in every projection."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from mezcal.convert import ConversionContext
from mezcal.convert.fits.cutout.placement import place_cutout
from mezcal.convert.fits.read.frame import open_frame
from mezcal.errors import NoSuchSection
from mezcal.recipe import ThumbnailOptions
from tests.support.wcs_tools import needs_tools
from tests.unit.convert.fits.cutout.frames import SIDE, amplifiers, header, sky, write
from tests.unit.convert.fits.cutout.reference_positions import FRAMES, ask_tools, read

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.convert.fits.cutout.placement import PlacedCutout
    from tests.unit.convert.fits.cutout.reference_positions import ReferencePosition

TABLE = read()
WITHIN = 0.5  # pixels
WCSLIB_WITHIN = 0.01
SIZE = 41


def places(path: Path, positions: list[ReferencePosition]) -> list[PlacedCutout]:
    """Returns where a cutout around each position is."""
    found = []
    options = [ThumbnailOptions.parse({"ra": each.ra, "dec": each.dec, "size": f"{SIZE}px"}) for each in positions]
    with path.open("rb") as file, open_frame(file, options[0], ConversionContext()) as frame:
        for each in options:
            assert each.cutout is not None
            found.append(place_cutout(frame, each.cutout, each))
    return found


def centres(found: list[PlacedCutout]) -> np.ndarray:
    """Returns the centres as FITS counts pixels."""
    return np.array([each.section.centre for each in found]) + 1


@pytest.mark.parametrize("name", FRAMES)
def test_positions_are_where_the_references_are(tmp_path: Path, name: str) -> None:
    positions, cards = TABLE[name], FRAMES[name]
    pixels = np.zeros((SIDE, SIDE), "f4")
    found = places(write(tmp_path / "frame.fits", pixels, cards), positions)
    is_j2000 = name not in {"galactic", "FK4", "FK5 of 2026"}
    by_wcslib = [each.wcslib for each in positions]
    np.testing.assert_allclose(centres(found), by_wcslib, rtol=0, atol=WCSLIB_WITHIN if is_j2000 else WITHIN)
    np.testing.assert_allclose(centres(found), [each.wcstools for each in positions], rtol=0, atol=WITHIN)
    wcs = WCS(cards)
    for place, each in zip(found, positions, strict=True):
        cut = Cutout2D(pixels, SkyCoord(each.ra, each.dec, unit="deg"), SIZE, wcs, mode="partial")
        assert cut.input_position_original == pytest.approx(place.section.centre, abs=WITHIN)
        x, y = place.section.centre
        near = [
            Cutout2D(pixels, (x + dx, y + dy), SIZE, mode="partial")
            for dx, dy in itertools.product((-0.01, 0.01), repeat=2)
        ]
        begin = place.section.left, place.section.bottom
        assert tuple(max(0, edge) for edge in begin) in {(each.xmin_original, each.ymin_original) for each in near}


@pytest.mark.parametrize("name", ["TAN", "SIP", "TPV near the north pole", "TAN at right ascension 0"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_positions_of_joined_amplifiers_are_those_of_the_whole_frame(tmp_path: Path, name: str, mirrored: bool) -> None:
    """Each amplifier has coordinates of its own, and overscan; some are read out from the other end."""
    path = amplifiers(tmp_path / "raw.fits", sky(), FRAMES[name], mirrored=mirrored)
    found = places(path, TABLE[name])
    np.testing.assert_allclose(centres(found), [each.wcslib for each in TABLE[name]], rtol=0, atol=WCSLIB_WITHIN)


def test_coordinates_in_the_primary_header_alone_are_of_the_joined_picture(tmp_path: Path) -> None:
    """Raw frames of LCO's Sinistro cameras are such."""
    path = amplifiers(tmp_path / "raw.fits", sky(), fits.Header())
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update(FRAMES["TAN"])
    found = places(path, TABLE["TAN"])
    np.testing.assert_allclose(centres(found), [each.wcslib for each in TABLE["TAN"]], rtol=0, atol=WCSLIB_WITHIN)


def without_matrix(path: Path) -> Path:
    """Move the matrix of all amplifiers to the primary header."""
    with fits.open(path, mode="update") as hdus:
        for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
            hdus[0].header[name] = header()[name]
            for hdu in hdus[1:]:
                hdu.header.remove(name)
    return path


def test_a_mirrored_amplifier_without_a_matrix_of_its_own_has_no_positions(tmp_path: Path) -> None:
    """Which axes that of the primary header has is not known."""
    path = without_matrix(amplifiers(tmp_path / "raw.fits", sky(), header(), mirrored=True))
    options = ThumbnailOptions.parse({"x": 250, "y": 250, "size": "5arcsec"})
    with path.open("rb") as file, open_frame(file, options, ConversionContext()) as frame:
        assert options.cutout is not None
        with pytest.raises(NoSuchSection, match="no matrix"):
            place_cutout(frame, options.cutout, options)


def test_an_amplifier_without_coordinates_is_passed_over(tmp_path: Path) -> None:
    """Only the first of four amplifiers is not mirrored."""
    path = without_matrix(amplifiers(tmp_path / "raw.fits", sky(), header(), mirrored=True))
    ra, dec = WCS(header()).all_pix2world([[60, 70]], 0)[0].tolist()
    options = ThumbnailOptions.parse({"ra": ra, "dec": dec, "size": "9px"})
    with path.open("rb") as file, open_frame(file, options, ConversionContext()) as frame:
        assert options.cutout is not None
        assert place_cutout(frame, options.cutout, options).section.centre == pytest.approx((60, 70), abs=0.01)


def test_an_amplifier_is_where_its_own_coordinates_say(tmp_path: Path) -> None:
    """DETSEC leaves out the gap between two chips, which the coordinates have."""
    path = amplifiers(tmp_path / "raw.fits", sky(), header())
    with fits.open(path, mode="update") as hdus:
        for hdu in hdus[1:]:
            if hdu.header["DETSEC"].startswith(f"[{SIDE // 2 + 1}:"):
                hdu.header["CRPIX1"] -= 20
    left, right = (WCS(header()).all_pix2world([[x, 200]], 0)[0].tolist() for x in (60, 260))
    with path.open("rb") as file:
        options = [ThumbnailOptions.parse({"ra": ra, "dec": dec, "size": "9px"}) for ra, dec in (left, right)]
        with open_frame(file, options[0], ConversionContext()) as frame:
            first, second = (place_cutout(frame, each.cutout, each) for each in options if each.cutout)
    assert first.section.centre == pytest.approx((60, 200), abs=0.01)
    assert second.section.centre == pytest.approx((240, 200), abs=0.01)


@needs_tools
@pytest.mark.parametrize("name", FRAMES)
def test_the_table_is_what_the_programs_answer(tmp_path: Path, name: str) -> None:
    for today, written in zip(ask_tools(name, tmp_path), TABLE[name], strict=True):
        assert (today.ra, today.dec) == pytest.approx((written.ra, written.dec), abs=2e-7)
        assert today.wcslib == pytest.approx(written.wcslib, abs=WCSLIB_WITHIN)
        assert today.wcstools == pytest.approx(written.wcstools, abs=WCSLIB_WITHIN)
