"""`look=lco`: exactly the pixels that OCS thumbnail-service draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.recipe import ThumbnailOptions
from tests import DATA

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = DATA / "fits"
MONO = "mono_f32_rice.fits.fz"


def drawn(target: Path, *frames: Path, **query: str) -> np.ndarray:
    options = ThumbnailOptions.parse({"look": "lco", **query})
    files = [frame.open("rb") for frame in frames]
    try:
        draw(files, target, options, ConversionContext(scratch=target.parent))
    finally:
        for file in files:
            file.close()
    return pixels(target)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    ("case", "frame", "query"),
    [
        ("default", MONO, {}),
        ("size_33x77", MONO, {"width": "33", "height": "77"}),
        ("label", MONO, {"width": "500", "height": "500", "label": "So many stars"}),
        ("median_p99", MONO, {"width": "500", "height": "500", "median": "true", "percentile": "99"}),
        ("quality_50", MONO, {"width": "500", "height": "500", "quality": "50"}),
        ("synth_small50x60", "small50x60.fits", {"width": "400", "height": "400"}),
    ],
)
def test_a_mono_frame_has_the_pixels_of_thumbnail_service(
    tmp_path: Path, case: str, frame: str, query: dict[str, str]
) -> None:
    got = drawn(tmp_path / "out.jpg", FRAMES / frame, **query)
    assert np.array_equal(got, pixels(FRAMES / f"{case}.expected.jpg"))
    assert (tmp_path / "out.jpg").read_bytes() == (FRAMES / f"{case}.expected.jpg").read_bytes()


@pytest.mark.parametrize("case", ["none", "r30_pp"])
def test_a_frame_is_laid_out_as_by_thumbnail_service(tmp_path: Path, case: str) -> None:
    with fits.open(FRAMES / "wcs_r90_pm.fits") as hdus:
        for name in [name for name in hdus[0].header if name.startswith(("CD", "CTYPE", "CR"))]:
            del hdus[0].header[name]
        if case == "r30_pp":
            hdus[0].header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=150.1, CRVAL2=2.2)
            hdus[0].header.update(CD1_1=9.4e-5, CD1_2=-5.4e-5, CD2_1=5.4e-5, CD2_2=9.4e-5)
        hdus.writeto(tmp_path / "frame.fits")
    got = drawn(tmp_path / "out.jpg", tmp_path / "frame.fits", width="400", height="400")
    assert np.array_equal(got, pixels(FRAMES / f"synth_wcs_{case}.expected.jpg"))


def test_a_frame_on_its_side_is_laid_out_as_by_thumbnail_service(tmp_path: Path) -> None:
    """Two of its levels end in .5 except for rounding in the last bit: the order of the arithmetic matters."""
    drawn(tmp_path / "out.jpg", FRAMES / "wcs_r90_pm.fits", width="400", height="400")
    assert (tmp_path / "out.jpg").read_bytes() == (FRAMES / "synth_wcs_r90_pm.expected.jpg").read_bytes()


def test_a_colour_composite_is_aligned_and_has_the_pixels_of_thumbnail_service(tmp_path: Path) -> None:
    frames = [FRAMES / f"rvbs_{colour}.fits.fz" for colour in "RVB"]
    got = drawn(tmp_path / "out.jpg", *frames, color="true", width="600", height="600")
    wanted = pixels(FRAMES / "color_rvbs.expected.jpg")
    assert np.array_equal(got, wanted)


def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the frames of these tests too large to be decoded at once by astropy."""
    monkeypatch.setattr("mezcal.convert.fits.read.astropy_planes.WHOLE_MAX", 4 * 1200 * 300)


@pytest.mark.parametrize("kept", [0, 4 * 1200 * 10, 2**27])
def test_reading_in_blocks_gives_the_picture_of_the_whole_frame(
    tmp_path: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large frames keep no, some or all rows with samples."""
    monkeypatch.setattr("mezcal.convert.fits.read.tiles.rice_tiles.KEPT_MAX", kept)
    monkeypatch.setattr("mezcal.convert.fits.read.tiles.rice_tiles.WHOLE_MAX", 4 * 1200 * 300)
    got = drawn(tmp_path / "out.jpg", FRAMES / MONO)
    assert np.array_equal(got, pixels(FRAMES / "default.expected.jpg"))
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]


def test_blocks_that_astropy_decodes_give_the_picture_of_the_whole_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Astropy decodes this compression once; the result is kept in memory and in a file."""
    small_memory(monkeypatch)
    with fits.open(FRAMES / MONO) as hdus:
        packed = fits.CompImageHDU(hdus[1].data, hdus[1].header, compression_type="GZIP_1", quantize_level=0)
        fits.HDUList([fits.PrimaryHDU(header=hdus[0].header), packed]).writeto(tmp_path / "frame.fits.fz")
    got = drawn(tmp_path / "out.jpg", tmp_path / "frame.fits.fz")
    assert np.array_equal(got, pixels(FRAMES / "default.expected.jpg"))
    assert {path.name for path in tmp_path.iterdir()} == {"frame.fits.fz", "out.jpg"}


@pytest.mark.parametrize("value", [0, 7, -3.3, 65_535.1, 1e9])
def test_a_frame_of_one_value_is_grey(tmp_path: Path, value: float) -> None:
    fits.PrimaryHDU(np.full((50, 61), value, "f4")).writeto(tmp_path / "frame.fits")
    (grey,) = set(drawn(tmp_path / "out.jpg", tmp_path / "frame.fits").ravel().tolist())
    assert 192 <= grey <= 196


@pytest.mark.parametrize("look", ["lco", "robust"])
@pytest.mark.parametrize("value", [1e9, 1e20, -1e30, 3e38])
def test_a_frame_of_one_value_is_drawn_for_any_value(tmp_path: Path, look: str, value: float) -> None:
    """In floating point 1e20 + 1 is 1e20, so limits one apart would be equal."""
    fits.PrimaryHDU(np.full((60, 60), value, "f4")).writeto(tmp_path / "frame.fits")
    assert len(np.unique(drawn(tmp_path / "out.jpg", tmp_path / "frame.fits", look=look))) == 1
