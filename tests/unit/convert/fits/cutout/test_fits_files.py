"""FITS cutouts: the frame's own values and header, coordinates that fit, checksums, compressed where the frame was."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import BadRecipe, NoSuchSection
from mezcal.recipe import ThumbnailOptions
from tests.support.wcs_tools import by_wcslib, needs_tools
from tests.unit.convert.fits.cutout.frames import SIDE, SIP, TPV, header, sky, write
from tests.unit.convert.fits.cutout.reference_positions import FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE = {"x": "101", "y": "151", "size": "40x30px"}  # columns 81 to 120, rows 136 to 165
ROWS, COLUMNS = slice(135, 165), slice(80, 120)
EDGE = {"x": "1", "y": "1", "size": "20px"}


@pytest.fixture(autouse=True)
def warnings_of_checksums() -> Iterator[None]:
    """A wrong checksum is a warning of astropy's, and an error in these tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def cut(path: Path, **query: str) -> fits.HDUList:
    """Returns the cutout's file, read whole with its checksums verified."""
    target = path.parent / "cutout.fits"
    options = ThumbnailOptions.parse({"format": "fits", **query})
    with path.open("rb") as file:
        draw([file], target, options, ConversionContext(scratch=path.parent))
    hdus = fits.open(target, checksum=True, memmap=False)
    for hdu in hdus:
        hdu.verify("exception")
        assert hdu.data is None or hdu.data.size
    return hdus


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("packed", [{}, {"tile_shape": (64, 64)}, {"compression_type": "GZIP_1"}])
def test_values_are_those_of_the_frame_bit_by_bit(tmp_path: Path, kind: str, packed: dict[str, Any]) -> None:
    pixels = (sky() - 60).astype(kind)
    if packed and kind.startswith("f"):
        packed = {**packed, "quantize_level": 16}
    path = write(tmp_path / "a.fits", pixels, header(), **packed)
    with fits.open(path) as frame, cut(path, **INSIDE) as found:
        wanted = frame[1].data[ROWS, COLUMNS]
        assert found[1].data.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[1].data, wanted)
        assert isinstance(found[1], fits.CompImageHDU) == bool(packed)
        assert found[1].name == "SCI"


@pytest.mark.parametrize("projection", ["TAN", "ZEA", "CAR", "SIP", "TPV"])
@pytest.mark.parametrize("packed", [{}, {"quantize_level": 16}])
def test_stars_keep_their_coordinates(tmp_path: Path, projection: str, packed: dict[str, Any]) -> None:
    cards = {"SIP": header("TAN", **SIP), "TPV": header("TPV", **TPV)}.get(projection) or header(projection)
    path = write(tmp_path / "a.fits", sky(), cards, **packed)
    with cut(path, **INSIDE) as found:
        here, there = WCS(found[1].header), WCS(cards)
        places = np.random.default_rng(1).uniform(0, 30, (10, 2))
        sky_here = np.array(here.all_pix2world(places, 0))
        sky_there = np.array(there.all_pix2world(places + np.array([80, 135]), 0))
        np.testing.assert_allclose(sky_here, sky_there, atol=1e-9)
        assert (found[1].header["LTV1"], found[1].header["LTV2"]) == (-80, -135)
        assert (found[1].header["LTM1_1"], found[1].header["LTM2_2"]) == (1, 1)


def test_every_description_of_the_coordinates_is_moved(tmp_path: Path) -> None:
    cards = header(CRPIX1P=5.0, CRVAL1P=7.0, LTV1=3.0, LTM1_1=0.5)
    with cut(write(tmp_path / "a.fits", sky(), cards), **INSIDE) as found:
        assert found[1].header["CRPIX1P"] == -75
        assert (found[1].header["LTV1"], found[1].header["LTM1_1"]) == (-77, 0.5)


def test_the_header_is_the_frames(tmp_path: Path) -> None:
    cards = header(OBJECT="M 51", EXPTIME=30.5, DATASEC="[1:300,1:300]", TRIMSEC="[1:300,1:300]")
    primary = fits.PrimaryHDU(header=fits.Header({"TELESCOP": "1m0-04"}))
    path = tmp_path / "a.fits"
    fits.HDUList([primary, fits.CompImageHDU(sky(), cards, name="SCI")]).writeto(path, checksum=True)
    with cut(path, **INSIDE) as found:
        assert found[0].header["TELESCOP"] == "1m0-04"
        assert (found[1].header["OBJECT"], found[1].header["EXPTIME"]) == ("M 51", 30.5)
        assert not {"DATASEC", "TRIMSEC", "DETSEC"} & set(found[1].header)
        assert "section [81:120,136:165]" in str(found[1].header["HISTORY"])


def test_a_picture_in_the_first_hdu_stays_there(tmp_path: Path) -> None:
    fits.PrimaryHDU(sky(), header()).writeto(tmp_path / "a.fits", checksum=True)
    with cut(tmp_path / "a.fits", **INSIDE) as found:
        assert len(found) == 1
        assert found[0].data.shape == (30, 40)


@pytest.mark.parametrize(("kind", "became"), [("u2", "f4"), ("i4", "f8"), ("f4", "f4"), ("f8", "f8")])
@pytest.mark.parametrize("packed", [False, True])
def test_pixels_outside_of_the_frame_are_nan(tmp_path: Path, kind: str, became: str, packed: bool) -> None:
    pixels = sky().astype(kind)
    path = write(tmp_path / "a.fits", pixels, header(), **({"quantize_level": 0} if packed else {}))
    if packed and kind.startswith("f"):
        path = write(tmp_path / "a.fits", pixels, header(), compression_type="GZIP_2", quantize_level=0)
    with cut(path, **EDGE) as found:
        data = found[1].data
        assert data.dtype.newbyteorder("=") == np.dtype(became)
        assert np.isnan(data).sum() == 20 * 20 - 10 * 10
        np.testing.assert_array_equal(data[10:, 10:], pixels[:10, :10])
        np.testing.assert_allclose(WCS(found[1].header).wcs.crpix, WCS(header()).wcs.crpix + 10)


def test_scaled_integers_are_written_as_their_values(tmp_path: Path) -> None:
    hdu = fits.ImageHDU(sky(), header(), name="SCI")
    hdu.scale("int16", bscale=0.25, bzero=100)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as frame, cut(tmp_path / "a.fits", **INSIDE) as found:
        np.testing.assert_array_equal(found[1].data, frame[1].data[ROWS, COLUMNS])
        assert not {"BSCALE", "BZERO"} & set(found[1].header)


def test_a_plane_of_a_cube_is_cut_out_alone(tmp_path: Path) -> None:
    cube = np.stack([sky(seed=seed) for seed in range(4)])
    cards = header(CTYPE3="WAVE", CRVAL3=5e-7, CRPIX3=1.0, CDELT3=1e-9, WCSAXES=3)
    path = write(tmp_path / "a.fits", cube, cards)
    with cut(path, **INSIDE, plane="3") as found:
        np.testing.assert_array_equal(found[1].data, cube[2][ROWS, COLUMNS])
        assert WCS(found[1].header).naxis == 2


def test_an_hdu_is_chosen_by_name_and_version(tmp_path: Path) -> None:
    hdus = [
        fits.ImageHDU(np.full((SIDE, SIDE), version, "f4"), header(), name="SCI", ver=version) for version in (1, 2)
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    with cut(tmp_path / "a.fits", **INSIDE, hdu="SCI,2") as found:
        assert (found[1].data == 2).all()


def test_tables_of_distortion_are_left_out(tmp_path: Path) -> None:
    cards = header(CPDIS1="LOOKUP", D2IMDIS1="LOOKUP")
    cards["DP1.EXTVER"] = 1.0
    with cut(write(tmp_path / "a.fits", sky(), cards), **INSIDE) as found:
        assert not [name for name in found[1].header if name.startswith(("CPDIS", "D2IMDIS", "DP1"))]
        WCS(found[1].header)


def test_frames_of_three_colours_need_a_plane(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((3, SIDE, SIDE), "u1")).writeto(tmp_path / "a.fits")
    with pytest.raises(NoSuchSection, match="by plane"):
        cut(tmp_path / "a.fits", **INSIDE)
    with cut(tmp_path / "a.fits", **INSIDE, plane="2") as found:
        assert found[0].data.shape == (30, 40)


LAYOUTS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("f4", {"quantize_level": 16}, INSIDE),
    ("u2", {"tile_shape": (64, 64)}, INSIDE),
    ("u2", {"compression_type": "GZIP_1"}, EDGE),
    ("i4", {}, INSIDE),
    ("f8", {}, EDGE),
]


@pytest.mark.parametrize(("kind", "packed", "query"), LAYOUTS)
def test_cfitsio_reads_the_same_values(
    tmp_path: Path, kind: str, packed: dict[str, Any], query: dict[str, str]
) -> None:
    fitsio = pytest.importorskip("fitsio", reason="it has no wheel for this Python")
    path = write(tmp_path / "a.fits", sky().astype(kind), header(), **packed)
    with cut(path, **query) as found:
        wanted, cards = found[1].data, found[1].header
    with fitsio.FITS(str(tmp_path / "cutout.fits")) as read:
        for hdu in read:
            hdu.verify_checksum()
        np.testing.assert_array_equal(read[1].read(), wanted)
        for name in ("CRPIX1", "CRPIX2", "CRVAL1", "CD1_2", "LTV1", "LTM2_2"):
            assert read[1].read_header()[name] == cards[name]


@pytest.mark.skipif(not which("fitsverify"), reason="needs fitsverify: apt-get install fitsverify")
@pytest.mark.parametrize(("kind", "packed", "query"), LAYOUTS)
def test_they_conform_to_the_standard(tmp_path: Path, kind: str, packed: dict[str, Any], query: dict[str, str]) -> None:
    """Also the checksums are verified."""
    cards = header(OBJECT="M 51", DATASEC="[1:300,1:300]", CRPIX1P=5.0)
    cut(write(tmp_path / "a.fits", sky().astype(kind), cards, **packed), **query).close()
    command = ["fitsverify", str(tmp_path / "cutout.fits")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "found 0 warning(s) and 0 error(s)" in ended.stdout, ended.stdout
    assert not ended.returncode


@needs_tools
@pytest.mark.parametrize("name", ["TAN", "SIP", "TPV", "ZEA", "CAR"])
@pytest.mark.parametrize("packed", [{}, {"quantize_level": 16}])
def test_wcslib_finds_ten_stars_where_they_are_in_the_frame(tmp_path: Path, name: str, packed: dict[str, Any]) -> None:
    path = write(tmp_path / "a.fits", sky(), FRAMES[name], **packed)
    places = np.random.default_rng(1).uniform(1, 40, (10, 2))
    positions = WCS(FRAMES[name]).all_pix2world(places + np.array([80, 135]), 1)
    cut(path, **INSIDE).close()
    found = by_wcslib(Path(f"{tmp_path / 'cutout.fits'}[1]"), [(float(ra), float(dec)) for ra, dec in positions])
    np.testing.assert_allclose(found, places, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "format=fits is of cutouts"),
        ({**INSIDE, "label": "x"}, "label is of pictures"),
        ({**INSIDE, "width": "100"}, "width is of pictures"),
        ({**INSIDE, "color": "true"}, "color is of pictures"),
        ({**INSIDE, "orient": "exact"}, "orient is of pictures"),
        ({**INSIDE, "grid": "true"}, "grid is of pictures"),
        ({**INSIDE, "look": "lco"}, "format=fits is of cutouts"),
    ],
)
def test_options_of_pictures_are_refused(query: dict[str, str], text: str) -> None:
    with pytest.raises(BadRecipe, match=text):
        ThumbnailOptions.parse({"format": "fits", **query})


def test_equal_sections_have_equal_recipes() -> None:
    options = ThumbnailOptions.parse({"format": "FITS", **INSIDE}, default="lco", max_edge=1000)
    assert options == ThumbnailOptions.parse({"format": "fits", **INSIDE}, max_edge=3000)
    assert options.as_json() == {"look": "robust", "format": "fits", "x": 101.0, "y": 151.0, "size": "40x30px"}
    assert ThumbnailOptions.parse(options.as_json(), max_edge=65_535) == options
