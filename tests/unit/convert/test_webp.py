"""WebP through `convert`."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.errors import OriginFailed, TooLarge
from tests.support.pyramids import master, photo

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def webp(source, folder, **options):
    picture = convert(source, folder / "out", ConversionContext(ConversionOptions(format="webp", **options)))
    with Image.open(folder / "out") as image:
        image.load()
    assert (image.format, image.size) == ("WEBP", (picture.width, picture.height))
    return image, picture


def smooth(bands=3):
    rows, columns = np.mgrid[:200, :300]
    pixels = np.stack([rows * 0.8 + band * 20 + columns * 0.2 for band in range(bands)], -1)
    return pixels.round().astype("u1")


@pytest.mark.parametrize("bands", [1, 3])
def test_the_picture_is_that_of_the_master(bands, tmp_path):
    image, _ = webp(master(smooth(bands)), tmp_path)
    assert np.sqrt(((np.asarray(image).astype(float) - smooth(bands)) ** 2).mean()) < 2


def test_a_lossless_file_has_the_masters_pixels(tmp_path):
    assert (np.asarray(webp(master(photo(300, 200)), tmp_path, lossless=True)[0]) == photo(300, 200)).all()


def test_the_quality_changes_the_size(tmp_path):
    sizes = []
    for quality in (30, 90):
        webp(master(photo(300, 200)), tmp_path, quality=quality)
        sizes.append((tmp_path / "out").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_alpha_is_kept_on_request(tmp_path):
    pixels = photo(300, 200, 4)
    source = master(pixels, extrasamples=["unassalpha"])
    image, _ = webp(source, tmp_path, lossless=True, alpha="keep")
    assert image.mode == "RGBA"
    assert (np.asarray(image) == pixels).all()
    assert webp(source, tmp_path)[0].mode == "RGB"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation, tmp_path):
    source = master(photo(300, 200), extratags=[(274, "H", 1, orientation, True)])
    image, _ = webp(source, tmp_path, lossless=True)
    with Image.open(source) as original:
        turned = Image.fromarray(photo(300, 200))
        transposition = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(original.getexif()[274])
    turned = turned if transposition is None else turned.transpose(transposition)
    assert (np.asarray(image) == np.asarray(turned)).all()


def test_a_profile_is_embedded_if_it_is_kept(tmp_path):
    source = master(photo(300, 200), iccprofile=PROFILE)
    assert webp(source, tmp_path, color="keep")[0].info["icc_profile"] == PROFILE
    assert "icc_profile" not in webp(source, tmp_path)[0].info


def test_metadata_is_kept_on_request_only(tmp_path):
    exif, source = Image.Exif(), io.BytesIO()
    exif[0x013B] = "Somebody"
    Image.fromarray(photo(300, 200)).save(source, "JPEG", exif=exif, xmp=b"<x:xmpmeta/>")
    assert not {"exif", "xmp"} & set(webp(source, tmp_path)[0].info)
    image, _ = webp(source, tmp_path, keep_metadata=True)
    assert image.getexif()[0x013B] == "Somebody"
    assert image.info["xmp"] == b"<x:xmpmeta/>"


def test_a_picture_too_large_for_webp_is_scaled_with_a_note(tmp_path):
    image, picture = webp(master(photo(16_500, 3)), tmp_path)
    assert image.size == (16_383, 3)
    assert picture.note == "scaled from 16500 x 3"


def test_a_picture_too_large_for_webp_is_refused_on_request(tmp_path):
    with pytest.raises(TooLarge, match="do not fit a WebP, whose sides end at 16,383"):
        webp(master(photo(16_500, 3)), tmp_path, oversize="refuse")


def test_the_memory_of_the_whole_picture_is_asked_for(tmp_path):
    asked: list[int] = []
    context = ConversionContext(ConversionOptions(format="webp"), reserve_memory=asked.append)
    source = master(np.zeros((4_000, 5_000, 3), "u1"))
    convert(source, tmp_path / "out", context)
    assert max(asked) > 4_000 * 5_000 * 10


def test_a_master_that_breaks_off_is_the_origins_failure(tmp_path):
    class BrokenOff(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(self.getvalue()) // 2:
                raise OriginFailed("the connection was reset")
            return super().read(size)

    with pytest.raises(OriginFailed, match="reset"):
        webp(BrokenOff(master(photo(900, 900)).getvalue()), tmp_path)


def test_a_full_disk_is_not_reported_as_a_damaged_master(tmp_path):
    with pytest.raises(OSError, match="No space"):
        convert(
            master(photo(500, 500)),
            tmp_path.joinpath("/dev/full"),
            ConversionContext(ConversionOptions(format="webp")),
        )
