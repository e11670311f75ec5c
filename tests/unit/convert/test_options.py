"""Orientation, pages, size limits, colour and metadata."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.engines.row_stream import ROWS_MAX
from mezcal.errors import BadRecipe, OriginFailed, TooLarge, Undecodable

HEIGHT, WIDTH = 4 * ROWS_MAX + 71, 90  # more than one band and strip, and odd ends of both
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([COLUMNS * 2.5, ROWS * 0.4, (COLUMNS + ROWS) * 0.3], -1).round().astype("u1")
UPRIGHT = {
    0: RGB,
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.transpose(1, 0, 2),
    6: RGB.transpose(1, 0, 2)[:, ::-1],
    7: RGB.transpose(1, 0, 2)[::-1, ::-1],
    8: RGB.transpose(1, 0, 2)[::-1],
    9: RGB,
}


def tiff(pixels=RGB, **options) -> io.BytesIO:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{"photometric": "rgb", **options})
    return file


def made(master, tmp_path, page=None, scratch=None, **options):
    target = tmp_path / "out.jpg"
    picture = convert(master, target, ConversionContext(ConversionOptions(**options), page, scratch))
    with Image.open(target) as image:
        image.load()
    assert image.size == (picture.width, picture.height)
    return image, picture


def assert_like(image, wanted, most=4.0):
    found = np.asarray(image.convert("RGB")).astype(float)
    assert found.shape == wanted.shape
    assert np.sqrt(((found - wanted) ** 2).mean()) < most


# --- orientation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_is_turned_upright_once_and_leaves_no_scratch_file(orientation, tmp_path):
    (tmp_path / "scratch").mkdir()
    master = tiff(extratags=[(274, "H", 1, orientation, True)])
    image, _ = made(master, tmp_path, scratch=tmp_path / "scratch")
    assert_like(image, UPRIGHT[orientation])
    assert 274 not in image.getexif()
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_jpeg_is_applied(orientation, tmp_path):
    exif, master = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    Image.fromarray(RGB).save(master, "JPEG", quality=95, exif=exif)
    image, _ = made(master, tmp_path)
    assert_like(image, UPRIGHT[orientation], 6)


def test_grey_pictures_are_turned_upright(tmp_path):
    image, _ = made(tiff(RGB[..., 0], photometric="minisblack", extratags=[(274, "H", 1, 6, True)]), tmp_path)
    assert image.mode == "L"
    assert_like(image, np.repeat(UPRIGHT[6][..., :1], 3, -1))


# --- pages --------------------------------------------------------------------------------------------------


def pages() -> io.BytesIO:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(RGB[:50, :40], photometric="rgb", subfiletype=1)
        writer.write(RGB[:200], photometric="rgb")
        writer.write(RGB[:100], photometric="rgb")
    return file


def test_the_main_picture_is_the_first_that_is_no_reduced_copy(tmp_path):
    assert_like(made(pages(), tmp_path)[0], RGB[:200])


@pytest.mark.parametrize(("page", "wanted"), [(1, RGB[:50, :40]), (2, RGB[:200]), (3, RGB[:100])])
def test_a_page_can_be_chosen(page, wanted, tmp_path):
    assert_like(made(pages(), tmp_path, page)[0], wanted)


@pytest.mark.parametrize("name", ["tiff", "png", "bmp", "gif"])
def test_a_missing_page_is_refused(name, tmp_path):
    master = io.BytesIO()
    if name == "tiff":
        master = pages()
    else:
        Image.fromarray(RGB).save(master, name)
    with pytest.raises(BadRecipe, match="4"):
        made(master, tmp_path, 4)


def test_frames_of_a_gif_are_pages(tmp_path):
    master = io.BytesIO()
    frames = [Image.new("P", (60, 40), shade) for shade in (0, 1, 2)]
    for frame in frames:
        frame.putpalette([10, 10, 10, 120, 120, 120, 240, 240, 240])
    frames[0].save(master, "GIF", save_all=True, append_images=frames[1:])
    assert_like(made(master, tmp_path, 3)[0], np.full((40, 60, 3), 240.0))


def test_the_full_resolution_may_be_in_a_sub_directory(tmp_path):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(RGB[:50, :40], photometric="rgb", subfiletype=1, subifds=2)
        writer.write(RGB[:300], photometric="rgb", subfiletype=0)
        writer.write(RGB[:100], photometric="rgb", subfiletype=1)
    assert_like(made(file, tmp_path)[0], RGB[:300])


# --- size ---------------------------------------------------------------------------------------------------


def test_the_longest_side_can_be_limited(tmp_path):
    image, picture = made(tiff(), tmp_path, max_edge=100)
    assert max(image.size) == 100
    assert picture.note == f"scaled from {WIDTH} x {HEIGHT}"
    assert_like(image, np.asarray(Image.fromarray(RGB).resize(image.size, Image.Resampling.LANCZOS)).astype(float))


def test_a_smaller_master_is_not_enlarged(tmp_path):
    image, picture = made(tiff(), tmp_path, max_edge=5000)
    assert image.size == (WIDTH, HEIGHT)
    assert picture.note is None


def wide_master() -> io.BytesIO:
    return tiff(np.full((3, 65_600, 3), 90, "u1"), compression="deflate")


def test_a_picture_too_large_for_jpeg_is_scaled_with_a_note(tmp_path):
    image, picture = made(wide_master(), tmp_path)
    assert image.size[0] == 65_500
    assert picture.note == "scaled from 65600 x 3"


def test_a_picture_too_large_for_jpeg_is_refused_on_request(tmp_path):
    with pytest.raises(TooLarge, match="65,500"):
        made(wide_master(), tmp_path, oversize="refuse")


@pytest.mark.parametrize("name", ["tiff", "png", "bmp", "jpeg2000", "webp", "heif"])
def test_too_many_pixels_are_refused_before_they_are_decoded(name, tmp_path):
    master = io.BytesIO()
    if name == "heif":
        __import__("pillow_heif").register_heif_opener()
    Image.fromarray(RGB).save(master, name)
    with pytest.raises(TooLarge, match="1,000"):
        made(master, tmp_path, max_pixels=1000)
    assert not (tmp_path / "out.jpg").exists()


# --- colour -------------------------------------------------------------------------------------------------


@cache
def other_profile() -> bytes:
    """Returns one with red and blue exchanged: its effect is visible. The second of its making is in it."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for place in range(132, 132 + 12 * int.from_bytes(data[128:132]), 12):
        name = bytes(data[place : place + 4])
        data[place : place + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    return bytes(data)


def test_a_profile_is_converted_to_srgb(tmp_path):
    image, _ = made(tiff(iccprofile=other_profile()), tmp_path)
    assert "icc_profile" not in image.info
    assert_like(image, RGB[..., ::-1], 6)


def test_a_profile_is_embedded_on_request(tmp_path):
    image, _ = made(tiff(iccprofile=other_profile()), tmp_path, color="keep")
    assert image.info["icc_profile"] == other_profile()
    assert_like(image, RGB)


@pytest.mark.parametrize("profile", [b"no profile at all" * 20, b"\0" * 16 + b"GRAY" + b"\0" * 200])
def test_an_invalid_profile_or_one_for_other_pixels_is_dropped(profile, tmp_path):
    for color in ("srgb", "keep"):
        image, _ = made(tiff(iccprofile=profile), tmp_path, color=color)
        assert "icc_profile" not in image.info
        assert_like(image, RGB)


@pytest.mark.parametrize("color", ["srgb", "keep"])
def test_cmyk_always_becomes_rgb(color, tmp_path):
    ink = np.dstack([255 - RGB, np.zeros_like(RGB[..., 0])])
    image, _ = made(tiff(ink, photometric="separated"), tmp_path, color=color)
    assert image.mode == "RGB"
    assert "icc_profile" not in image.info


# --- what the file says of itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "given", "wanted"), [(2, 300, 300), (3, 100, 254)])
def test_the_resolution_is_kept(unit, given, wanted, tmp_path):
    image, _ = made(tiff(resolution=(given, given), resolutionunit=unit), tmp_path)
    assert image.info["jfif_unit"] == 1
    assert image.info["jfif_density"] == (wanted, wanted)


def test_a_rotated_picture_has_its_resolutions_exchanged(tmp_path):
    image, _ = made(tiff(resolution=(300, 150), resolutionunit=2, extratags=[(274, "H", 1, 6, True)]), tmp_path)
    assert image.info["jfif_density"] == (150, 300)


def noted_jpeg() -> io.BytesIO:
    exif, master = Image.Exif(), io.BytesIO()
    exif[274], exif[0x010F], exif[0x013B] = 6, "Maker", "Somebody"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    Image.fromarray(RGB).save(master, "JPEG", exif=exif, xmp=b"<x:xmpmeta/>")
    return master


def test_metadata_is_dropped_by_default(tmp_path):
    image, _ = made(noted_jpeg(), tmp_path)
    assert "exif" not in image.info
    assert "xmp" not in image.info


def test_metadata_is_kept_on_request_without_the_orientation(tmp_path):
    image, _ = made(noted_jpeg(), tmp_path, keep_metadata=True)
    exif = image.getexif()
    assert exif[0x010F] == "Maker"
    assert exif[0x013B] == "Somebody"
    assert exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert exif.get(274, 1) == 1
    assert image.info["xmp"] == b"<x:xmpmeta/>"


def test_a_tiffs_metadata_is_kept_on_request(tmp_path):
    master = tiff(extratags=[(315, "s", 0, "Somebody", True), (700, "B", 12, b"<x:xmpmeta/>", True)])
    image, _ = made(master, tmp_path, keep_metadata=True)
    assert image.getexif()[315] == "Somebody"
    assert image.info["xmp"] == b"<x:xmpmeta/>"


@pytest.mark.parametrize("progressive", [False, True])
def test_baseline_or_progressive(progressive, tmp_path):
    image, _ = made(tiff(), tmp_path, progressive=progressive)
    assert ("progressive" in image.info) is progressive


# --- reading ------------------------------------------------------------------------------------------------


class BrokenOff(io.BytesIO):
    """A download that ends half way."""

    def read(self, size=-1):
        if self.tell() > len(self.getvalue()) // 2:
            raise OriginFailed("the connection was reset")
        return super().read(size)


@pytest.mark.parametrize("kind", ["tiff", "png", "bmp"])
def test_a_download_that_breaks_off_is_the_origins_failure(kind, tmp_path):
    master = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (300, 300, 3), "u1")
    Image.fromarray(noise).save(master, kind)
    with pytest.raises(OriginFailed, match="reset"):
        made(BrokenOff(master.getvalue()), tmp_path)


class Growing(io.RawIOBase):
    """A download: bytes arrive in small pieces, and only while somebody waits for them."""

    def __init__(self, data, piece=50_000):
        super().__init__()
        self.data, self.piece, self.arrived, self.at = data, piece, 0, 0

    def seek(self, offset, whence=0):
        self.at = offset + {0: 0, 1: self.at, 2: len(self.data)}[whence]
        return self.at

    def tell(self):
        return self.at

    def read(self, size=-1):
        end = len(self.data) if size < 0 else min(len(self.data), self.at + size)
        while self.arrived < min(end, self.at + 1):
            self.arrived = min(len(self.data), self.arrived + self.piece)
        piece = self.data[self.at : min(end, self.arrived)]
        self.at += len(piece)
        return piece


@pytest.mark.parametrize("kind", ["tiff", "zstd", "png", "jpeg", "bmp", "jpeg2000"])
def test_a_master_that_is_still_arriving_is_converted(kind, tmp_path):
    if kind in ("tiff", "zstd"):
        master = tiff(compression={"tiff": "lzw"}.get(kind, kind), rowsperstrip=16)
    else:
        master = io.BytesIO()
        Image.fromarray(RGB).save(master, kind)
    assert_like(made(Growing(master.getvalue(), piece=777), tmp_path)[0], RGB, 6)


def test_rows_are_written_while_the_rest_is_still_arriving(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (3000, 1000, 3), "u1")
    master = Growing(tiff(noise, compression="lzw", rowsperstrip=16).getvalue())
    arrived: list[int] = []
    convert(master, tmp_path / "out.jpg", ConversionContext(report_progress=lambda _: arrived.append(master.arrived)))
    assert arrived[0] < len(master.data) / 2


def test_progress_goes_from_nothing_to_all(tmp_path):
    seen: list[float] = []
    convert(tiff(), tmp_path / "out.jpg", ConversionContext(report_progress=seen.append))
    assert seen == sorted(seen)
    assert 0.9 <= seen[-1] <= 1


def test_a_full_disk_is_not_reported_as_a_damaged_master():
    with pytest.raises(OSError, match="No space"):
        convert(
            tiff(np.random.default_rng(1).integers(0, 255, (500, 500, 3), "u1")),
            Path("/dev/full"),
            ConversionContext(),
        )


def test_a_loop_of_directories_ends(tmp_path):
    data = bytearray(tiff(metadata=None).getvalue())
    at = int.from_bytes(data[4:8], "little")
    link = at + 2 + 12 * int.from_bytes(data[at : at + 2], "little")
    data[link : link + 4] = data[4:8]
    assert_like(made(io.BytesIO(bytes(data)), tmp_path)[0], RGB)


def test_a_tiff_that_declares_more_rows_than_it_holds_is_refused(tmp_path):
    data = bytearray(tiff(metadata=None, rowsperstrip=HEIGHT).getvalue())
    at = data.index((257).to_bytes(2, "little"))
    data[at + 8 : at + 10] = (HEIGHT * 10).to_bytes(2, "little")
    with pytest.raises(Undecodable, match="strips"):
        made(io.BytesIO(bytes(data)), tmp_path)
