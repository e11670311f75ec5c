"""The chips of one exposure, put together by their sky coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from mezcal.convert import ConversionContext, ConversionOptions
from mezcal.convert.fits.coordinates import FrameCoordinates
from mezcal.convert.fits.read.chip_mosaic import ChipMosaic
from mezcal.convert.fits.read.frame import open_frame
from mezcal.errors import BadRecipe, NoSuchSection, TooLarge
from mezcal.recipe import ThumbnailOptions
from tests.unit.convert.fits.cutout.frames import SIP, add_star, header
from tests.unit.convert.fits.cutout.test_avm import distances, drawn, tags

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROWS, COLUMNS = 120, 150
EAST, NORTH = (-270, -230, -190, -130, -90, -40, 30, 80, 130), (-50, -20, 15, 45)  # pixels of 0.4 arcsec
STARS = [(x, y) for x in EAST for y in NORTH]
CHIPS: list[dict[str, Any]] = [
    {"turn": 0.5, "CRPIX1": -5.0, "CRPIX2": 60.0},  # west of the centre
    {"turn": 180.0, "CRPIX1": -5.0, "CRPIX2": 60.0},  # east of it, upside down
    {"turn": 90.0, "CRPIX1": 75.0, "CRPIX2": 290.0},  # farther east, on its side
]
CHIPS[0] |= {name: value for name, value in SIP.items() if not name.startswith("CTYPE")}
CHIPS[0] |= {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
WHOLE = {"mosaic": "true", "width": "600", "height": "600"}


def exposure(folder: Path, chips: Sequence[dict[str, Any]] = CHIPS, **packed: Any) -> tuple[Path, np.ndarray]:
    """Returns a file with several chips, and the positions of the stars on the sky."""
    dec = 2 + np.array([y for _, y in STARS]) * 0.4 / 3600
    positions = np.stack([150 + np.array([x for x, _ in STARS]) * 0.4 / 3600 / np.cos(np.radians(dec)), dec], 1)
    hdus: list[Any] = [fits.PrimaryHDU()]
    for number, chip in enumerate(chips, 1):
        cards = header(**chip)
        pixels = np.random.default_rng(number).normal(100, 1, (ROWS, COLUMNS)).astype("f4")
        for x, y in WCS(cards).all_world2pix(positions, 0):
            add_star(pixels, x, y, 900)
        kind = fits.CompImageHDU if packed else fits.ImageHDU
        hdus += [kind(pixels, header(**chip, EXTVER=number), name="SCI", **packed)]
        hdus += [fits.ImageHDU(np.zeros((ROWS, COLUMNS), "u1"), cards, name="BPM", ver=number)]
    fits.HDUList(hdus).writeto(folder / "a.fits", overwrite=True)
    return folder / "a.fits", positions


@pytest.mark.parametrize("packed", [{}, {"quantize_level": 32}])
def test_stars_of_all_chips_are_where_their_coordinates_say(tmp_path: Path, packed: dict[str, Any]) -> None:
    path, positions = exposure(tmp_path, **packed)
    image = drawn(path, **WHOLE, vmin="100", vmax="1200", format="png")
    assert image.width > 2.5 * COLUMNS
    seen = [star for star in positions if _is_shown(path, star)]
    assert len(seen) > 15
    assert max(distances(image, np.array(seen))) < 0.5


def _is_shown(path: Path, star: np.ndarray) -> bool:
    """Returns True if one of the chips has *star* well inside."""
    with fits.open(path) as hdus:
        places = [WCS(hdu.header).all_world2pix([star], 0)[0] for hdu in hdus[1::2]]
    return any(8 < x < COLUMNS - 9 and 8 < y < ROWS - 9 for x, y in places)


def test_every_pixel_is_that_of_the_chip_at_its_position(tmp_path: Path) -> None:
    """The witness reads each chip through astropy's coordinates, without blocks and cells."""
    path, _ = exposure(tmp_path)
    options = ThumbnailOptions.parse({"mosaic": "true"})
    with path.open("rb") as file, open_frame(file, options, ConversionContext()) as frame, fits.open(path) as hdus:
        mosaic = frame.plane
        assert isinstance(mosaic, ChipMosaic)
        rows, columns = mosaic.shape
        starts = range(0, rows, 50)
        shown = np.concatenate([mosaic.rows(start, min(start + 50, rows)) for start in starts])
        along, across = np.mgrid[:rows, :columns]
        sky = mosaic.coordinates.to_sky(np.stack([across.ravel(), along.ravel()], 1).astype(float))
        wanted = np.full(rows * columns, np.nan)
        for hdu in hdus[1::2]:
            x, y = WCS(hdu.header).all_world2pix(sky, 0).T
            inside = (x >= 0) & (x <= COLUMNS - 1.001) & (y >= 0) & (y <= ROWS - 1.001) & np.isnan(wanted)
            wanted[inside] = _interpolated(hdu.data, x[inside], y[inside])
        known = np.isfinite(wanted).reshape(rows, columns)
        assert known.mean() > 0.5
        assert np.isfinite(shown[known]).all()
        assert np.abs(shown[known] - wanted.reshape(rows, columns)[known]).max() < 12  # of 900: 0.03 pixels
        assert np.isnan(shown).any()
        window = mosaic.window((30, 60), (100, 260))
        np.testing.assert_allclose(window, shown[30:60, 100:260], atol=12)  # its cells begin elsewhere


def _interpolated(pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, up = x - column, y - row
    low = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
    return np.asarray(
        low * (1 - up) + (pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right) * up
    )


@pytest.mark.parametrize("star", [3, 9, 20])
def test_a_cutout_of_a_mosaic_has_the_position_in_its_middle(tmp_path: Path, star: int) -> None:
    path, positions = exposure(tmp_path)
    ra, dec = map(repr, positions[star].tolist())
    image = drawn(path, mosaic="true", ra=ra, dec=dec, size="41px", vmin="100", vmax="1200", format="png")
    assert image.size == (41, 41)
    assert max(distances(image, positions[star : star + 1])) < 0.5
    grey = np.asarray(image.convert("L")).astype(float)
    assert np.hypot(*(np.array(np.unravel_index(grey.argmax(), grey.shape)) - 20)) <= 1.5


def test_one_chip_is_drawn_without_the_parameter_and_named_by_hdu(tmp_path: Path) -> None:
    path, _ = exposure(tmp_path)
    assert drawn(path).size == (COLUMNS, ROWS)
    alone = drawn(path, hdu="SCI,3", mosaic="true", width="300", height="300")
    assert np.abs(np.array(alone.size) - [ROWS, COLUMNS]).max() <= 2


def test_chips_that_are_far_apart_or_without_coordinates_are_refused(tmp_path: Path) -> None:
    path, _ = exposure(tmp_path, [CHIPS[0], {"dec": 3.0}])
    with pytest.raises(NoSuchSection, match="far from each other"):
        drawn(path, mosaic="true")
    path, _ = exposure(tmp_path, [CHIPS[0], {"WCSERR": 4}])
    with pytest.raises(NoSuchSection, match="no sky coordinates"):
        drawn(path, mosaic="true")


def test_chips_with_far_smaller_pixels_or_too_many_are_refused(tmp_path: Path) -> None:
    """All their pixels would be read, and held, for a picture that does not show them."""
    fine = header(turn=0)
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        fine[name] /= 5
    path, _ = exposure(tmp_path, [CHIPS[0], dict(fine)])
    with pytest.raises(NoSuchSection, match="very different sizes"):
        drawn(path, mosaic="true")
    path, _ = exposure(tmp_path)
    options = ThumbnailOptions.parse({"mosaic": "true", "hdu": "SCI"})
    context = ConversionContext(options=ConversionOptions(max_pixels=ROWS * COLUMNS - 1))
    with path.open("rb") as file, pytest.raises(TooLarge), open_frame(file, options, context):
        pass


def test_memory_is_reserved_for_the_rows_that_a_turned_chip_needs(tmp_path: Path) -> None:
    path, _ = exposure(tmp_path)
    options = ThumbnailOptions.parse({"mosaic": "true"})
    with path.open("rb") as file, open_frame(file, options, ConversionContext()) as frame:
        assert isinstance(frame.plane, ChipMosaic)
        upright, flipped, sideways = frame.plane.chips
        assert upright.rows_each < 80 > flipped.rows_each
        assert sideways.rows_each == ROWS
        assert frame.plane.decoding_bytes >= 4 * 3 * ROWS * COLUMNS + 2 * sideways.window_bytes


def test_a_position_without_an_inverse_costs_the_cells_around_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = exposure(tmp_path, CHIPS[:1])
    options, find = ThumbnailOptions.parse({"mosaic": "true"}), FrameCoordinates.to_pixels

    def found(coordinates: FrameCoordinates, sky: np.ndarray) -> np.ndarray:
        places = find(coordinates, sky)
        places[(places[:, 0] < 5) & (places[:, 1] < 5)] = np.nan
        return places

    with path.open("rb") as file, open_frame(file, options, ConversionContext()) as frame:
        monkeypatch.setattr(FrameCoordinates, "to_pixels", found)
        shown = np.isfinite(frame.plane.rows(0, 64))
    assert not shown[:, :60].any()
    assert shown[5:, 70:140].all()


@pytest.mark.parametrize("query", [{"look": "lco"}, {"format": "fits", "x": "1", "y": "1", "size": "5px"}])
def test_a_mosaic_is_of_pictures_in_the_robust_look(query: dict[str, str]) -> None:
    with pytest.raises(BadRecipe, match="mosaic"):
        ThumbnailOptions.parse({"mosaic": "true", **query})
    assert "mosaic" not in ThumbnailOptions.parse({"mosaic": "false"}).as_json()
    assert ThumbnailOptions.parse(ThumbnailOptions.parse({"mosaic": "1"}).as_json()).mosaic


def test_the_tags_of_a_mosaic_have_its_size(tmp_path: Path) -> None:
    image = drawn(exposure(tmp_path)[0], **WHOLE)
    assert tags(image)["Spatial.ReferenceDimension"] == list(image.size)
