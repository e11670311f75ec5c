"""The switch between our readers and astropy's: every picture is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from mezcal.convert import ConversionContext
from mezcal.convert.fits.read import plane_readers
from mezcal.convert.fits.read.astropy_planes import read_by_astropy
from mezcal.convert.fits.read.plane_readers import open_plane
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import NoSuchPicture
from mezcal.recipe import ThumbnailOptions
from tests import DATA

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = [path for path in sorted((DATA / "fits").iterdir()) if ".fits" in path.suffixes]
KINDS = ["u1", "i2", "u2", "i4", "u4", "f4", "f8"]
LAYOUTS = [*((kind, compressed) for kind in KINDS for compressed in (True, False)), ("i8", False)]


@pytest.mark.parametrize("look", ["lco", "robust"])
@pytest.mark.parametrize("frame", FRAMES, ids=lambda path: path.name)
def test_a_thumbnail_is_the_same_whoever_reads_the_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: Path, look: str
) -> None:
    options = ThumbnailOptions.parse({"look": look, "width": "300", "height": "300"})
    pictures = []
    for readers in (plane_readers.READERS, (read_by_astropy,)):
        monkeypatch.setattr(plane_readers, "READERS", readers)
        with frame.open("rb") as file:
            draw([file], tmp_path / "out.jpg", options, ConversionContext(scratch=tmp_path))
        pictures.append((tmp_path / "out.jpg").read_bytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(("kind", "compressed"), LAYOUTS)
def test_every_reader_returns_the_same_pixels(tmp_path: Path, kind: str, compressed: bool) -> None:
    pixels = np.random.default_rng(1).integers(0, 200, (40, 60)).astype(kind)
    hdu = fits.CompImageHDU(pixels) if compressed else fits.ImageHDU(pixels)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "frame.fits")
    with (tmp_path / "frame.fits").open("rb") as file, fits.open(file, memmap=False) as hdus:
        planes = [plane for read in plane_readers.READERS if (plane := read(hdus[1], file, 0)) is not None]
        assert len(planes) == 2  # one of ours, and astropy's
        wanted = hdus[1].data
        places = np.array([0, 1, 59, 60, 1234, 2399])
        for plane in planes:
            assert plane.shape == wanted.shape
            assert np.array_equal(plane.rows(7, 31), wanted[7:31])
            assert np.array_equal(plane.pixels_at(places), wanted.ravel()[places])


def test_a_plane_that_a_cube_does_not_have_is_refused(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((2, 5, 5))).writeto(tmp_path / "frame.fits")
    with (tmp_path / "frame.fits").open("rb") as file, fits.open(file, memmap=False) as hdus:
        assert open_plane(hdus[0], file, 1).shape == (5, 5)
        with pytest.raises(NoSuchPicture, match="plane is 3"):
            open_plane(hdus[0], file, 2)
