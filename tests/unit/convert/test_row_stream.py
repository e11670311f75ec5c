"""Pictures encoded strip by strip in several threads, against the same pictures encoded in one piece."""

from __future__ import annotations

import io
import os
import re
import threading

import imagecodecs
import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.engines.row_stream import ROWS_MAX
from mezcal.errors import Undecodable

HEIGHT = 11 * ROWS_MAX + 37  # more strips than there are restart markers, and a last one that ends within a block
RESTARTS = re.compile(rb"\xff[\xd0-\xd7]")


def photo(width: int, bands: int, height: int = HEIGHT) -> np.ndarray:
    """Slopes with noise on them, so that no two blocks are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(1).integers(0, 40, (height, width, bands))
    slopes = [(rows * (1 + band) + columns * 3) % 400 // 2 for band in range(bands)]
    return (np.stack(slopes, -1) + noise).astype("u1")


def tiff(pixels: np.ndarray, **options) -> io.BytesIO:
    file = io.BytesIO()
    photometric = {1: "minisblack", 3: "rgb", 4: "separated"}[pixels.shape[2]]
    plain = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    tifffile.imwrite(file, plain, **{"photometric": photometric, "rowsperstrip": 16, **options})
    return file


def made(master: io.BytesIO, tmp_path, **options) -> bytes:
    target = tmp_path / "out.jpg"
    convert(master, target, ConversionContext(ConversionOptions(**options)))
    return target.read_bytes()


def in_memory(pixels: np.ndarray, interpretation: str) -> pyvips.Image:
    return pyvips.Image.new_from_array(pixels).copy(interpretation=interpretation)


def in_one_piece(image: pyvips.Image, subsampling: str = "4:4:4") -> bytes:
    return image.jpegsave_buffer(Q=90, subsample_mode="off" if subsampling == "4:4:4" else "on", keep="none")


def by_each_decoder(data: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(data)) as image:
        by_pillow = np.asarray(image)
    return [by_pillow, imagecodecs.jpeg8_decode(data), pyvips.Image.jpegload_buffer(data).numpy()]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("width", [1, 203, 640])
def test_strips_have_the_pixels_of_a_picture_encoded_at_once(width, bands, subsampling, tmp_path):
    pixels = photo(width, bands)
    data = made(tiff(pixels), tmp_path, subsampling=subsampling)
    wanted = in_one_piece(in_memory(pixels, "srgb" if bands == 3 else "b-w"), subsampling)
    assert len(RESTARTS.findall(data)) == -(-HEIGHT // ROWS_MAX) - 1
    for found, one in zip(by_each_decoder(data), by_each_decoder(wanted), strict=True):
        assert np.array_equal(found, one)


def test_restart_markers_count_to_eight(tmp_path):
    found = RESTARTS.findall(made(tiff(photo(64, 3)), tmp_path))
    assert [marker[1] & 7 for marker in found] == [place % 8 for place in range(len(found))]


def test_a_picture_of_one_strip_has_no_restart_markers(tmp_path):
    pixels = photo(64, 3, height=ROWS_MAX)
    data = made(tiff(pixels), tmp_path)
    assert b"\xff\xdd" not in data
    assert data[20:] == in_one_piece(in_memory(pixels, "srgb"))[2:]  # and is what libvips writes, behind our JFIF


def test_the_tables_are_those_that_libvips_writes(tmp_path):
    data = made(tiff(photo(64, 3)), tmp_path)
    wanted = in_one_piece(in_memory(photo(64, 3), "srgb"))
    before = wanted[2 : wanted.index(b"\xff\xda")]
    assert data[20:].startswith(before + b"\xff\xdd\0\x04")


def test_the_widest_picture_keeps_within_the_restart_interval(tmp_path):
    pixels = photo(65_500, 1, height=40)
    data = made(tiff(pixels), tmp_path)
    assert np.array_equal(
        imagecodecs.jpeg8_decode(data), imagecodecs.jpeg8_decode(in_one_piece(in_memory(pixels, "b-w")))
    )


def test_profile_and_metadata_are_written_once(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    master = tiff(photo(64, 3), iccprofile=profile, extratags=[(700, "B", 12, b"<x:xmpmeta/>", True)])
    data = made(master, tmp_path, color="keep", keep_metadata=True)
    for once in (b"JFIF\0", b"ICC_PROFILE\0", b"<x:xmpmeta/>", b"Exif\0", b"\xff\xdb\0", b"\xff\xda\0"):
        assert data.count(once) == (2 if once == b"\xff\xdb\0" else 1)  # one table for light, one for colour
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == profile


def test_colours_by_profile_are_those_of_the_whole_picture(tmp_path):
    ink = photo(203, 4)
    shown = in_memory(ink, "cmyk").icc_transform("srgb", input_profile="cmyk", intent="perceptual", depth=8)
    data = made(tiff(ink), tmp_path)
    assert np.array_equal(imagecodecs.jpeg8_decode(data), imagecodecs.jpeg8_decode(in_one_piece(shown)))


def test_sixteen_bits_are_those_of_the_whole_picture(tmp_path):
    pixels = photo(203, 3).astype("u2") * 257 // 2
    data = made(tiff(pixels), tmp_path)
    wanted = in_one_piece(in_memory((pixels >> 8).astype("u1"), "srgb"))
    assert np.array_equal(imagecodecs.jpeg8_decode(data), imagecodecs.jpeg8_decode(wanted))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are chosen as Linux does it")
def test_the_file_is_the_same_on_any_number_of_cores(tmp_path):
    ink, cores = photo(203, 4), os.sched_getaffinity(0)
    files = {made(tiff(ink), tmp_path) for _ in range(3)}
    os.sched_setaffinity(0, {min(cores)})
    try:
        files.add(made(tiff(ink), tmp_path))
    finally:
        os.sched_setaffinity(0, cores)
    assert len(files) == 1


def damaged_in_the_middle() -> io.BytesIO:
    data = bytearray(tiff(photo(203, 4), compression="lzw").getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        middle = file.pages[0].dataoffsets[len(file.pages[0].dataoffsets) // 2]
    data[middle : middle + 40] = b"\xff" * 40
    return io.BytesIO(data)


def test_a_master_damaged_in_the_middle_is_refused_and_leaves_no_thread(tmp_path):
    before = threading.active_count()
    with pytest.raises(Undecodable, match="code not yet in table"):
        made(damaged_in_the_middle(), tmp_path)
    assert threading.active_count() == before


class TimeIsUpError(Exception):
    """What a time limit raises, wherever the process is."""


def test_a_time_limit_ends_the_conversion_and_its_threads(tmp_path):
    def ring(fraction: float) -> None:
        if fraction > 0.3:
            raise TimeIsUpError

    before = threading.active_count()
    with pytest.raises(TimeIsUpError):
        convert(tiff(photo(203, 4)), tmp_path / "out.jpg", ConversionContext(report_progress=ring))
    assert threading.active_count() == before
