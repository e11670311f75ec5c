"""The masters that come with mezcal are what their names promise, and small."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mezcal.sample import FOLDER
from tools.draw_samples import make, profile

NAMES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.tif"))


def test_the_repository_holds_the_six_masters_its_readme_names():
    """The README must describe a file that is added or renamed."""
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(NAMES) == 6
    assert all(f"`{name}`" in readme for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_master_opens_whole_and_is_of_a_size_worth_showing(name):
    with Image.open(FOLDER / name) as image:
        image.load()
        assert 900 <= max(image.size) <= 1600


@pytest.mark.parametrize("name", NAMES)
def test_every_master_is_small(name):
    assert (FOLDER / name).stat().st_size <= 350 * 1024


def test_the_whole_repository_stays_small():
    assert sum((FOLDER / name).stat().st_size for name in NAMES) <= 1_600_000


def test_the_agave_field_carries_a_profile_that_is_not_srgb():
    """Programs that ignore the profile show duller colours: its pure green is outside sRGB."""
    with Image.open(FOLDER / "agave-p3.tif") as image:
        embedded = image.info["icc_profile"]
        assert image.mode == "RGB"
    assert embedded == profile.wide_rgb()
    to_srgb = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(embedded)), ImageCms.createProfile("sRGB"), "RGB", "RGB"
    )
    green = Image.new("RGB", (1, 1), (80, 200, 120))
    assert ImageCms.applyTransform(green, to_srgb).getpixel((0, 0))[0] < 40


def test_the_profile_is_read_by_littlecms_and_leaves_greys_grey():
    wide = ImageCms.ImageCmsProfile(BytesIO(profile.wide_rgb()))
    assert ImageCms.getProfileDescription(wide).strip() == profile.NAME
    to_srgb = ImageCms.buildTransform(wide, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    for level in (0, 40, 128, 200, 255):
        shown = ImageCms.applyTransform(Image.new("RGB", (1, 1), (level,) * 3), to_srgb).getpixel((0, 0))
        assert np.abs(np.subtract(shown, level)).max() <= 1


def test_the_galaxy_uses_the_range_of_16_bits():
    counts = tifffile.imread(FOLDER / "galaxy-16bit.tif")
    assert counts.dtype == np.uint16
    assert counts.max() > 60_000
    assert counts.min() < 10_000
    assert len(np.unique(counts)) > 256  # more greys than eight bits have


def test_the_plate_is_cmyk_without_a_profile():
    with Image.open(FOLDER / "plate-cmyk.tif") as image:
        assert image.mode == "CMYK"
        assert "icc_profile" not in image.info
        assert image.info["dpi"] == (300, 300)


def test_the_manuscript_is_one_bit_a_pixel_in_group_4():
    with Image.open(FOLDER / "manuscript-bilevel.tif") as image:
        assert image.mode == "1"
        assert image.info["compression"] == "group4"
        assert 0.8 < np.asarray(image).mean() < 0.95  # a white page with ink, not the reverse


def test_the_portrait_lies_down_until_its_orientation_is_applied():
    with tifffile.TiffFile(FOLDER / "portrait-rotated.tif") as tiff:
        page = tiff.pages[0]
        assert page.tags["Orientation"].value == 6
        stored = page.asarray()
    upright = np.rot90(stored, -1)
    assert upright.shape == (1300, 930, 3)
    assert upright[430, 520].min() > 200  # the moon, right of the middle, in the upper third
    assert upright[1290].mean() < 60  # the ground


def test_the_map_is_tiled_and_its_first_page_is_the_large_one():
    with tifffile.TiffFile(FOLDER / "maps/valley.tif") as tiff:
        widths = [page.imagewidth for page in tiff.pages]
        assert tiff.pages[0].is_tiled
        assert not tiff.pages[0].is_reduced
        assert all(page.is_reduced for page in tiff.pages[1:])
    assert widths == [1400, 700, 350, 175]


@pytest.mark.slow
def test_drawing_again_gives_the_same_pictures(tmp_path):
    """Up to a rounding here and there: another numpy may sum in another order."""
    make.make(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.tif")) == NAMES
    for name in NAMES:
        drawn, kept = (tifffile.imread(folder / name).astype(float) for folder in (tmp_path, FOLDER))
        assert np.abs(drawn - kept).mean() <= 0.001 * max(kept.max(), 1)
