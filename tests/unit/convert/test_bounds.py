"""What a conversion may take: memory, descriptors, and which kinds of file at all."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.engines import memory_limits
from mezcal.errors import Failure, NotAnImage, TooLarge, Undecodable
from tests import DATA
from tests.support.proc import open_files
from tools.tiny_masters import HEIGHT, WIDTH, bare, packed

MASTERS = DATA / "masters"

NO_IMAGES = {
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "matrix": b"3 3\n1 2 3\n4 5 6\n7 8 9\n",
    "html": b"<!doctype html><title>Not found</title>",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_a_file_that_is_no_image_is_refused_before_any_decoder(kind, tmp_path):
    with pytest.raises(NotAnImage):
        convert(io.BytesIO(NO_IMAGES[kind]), tmp_path / "out.jpg", ConversionContext())
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_conversions_leave_no_file_descriptors_open(tmp_path):
    names = ["rgb8_lzw.tif", "rgb8_zstd.tif", "jp2_rev.jp2", "png_rgba8.png", "trunc_rgb8_tiled.tif"]
    counts = []
    for _ in range(6):
        for name in names:
            with (MASTERS / name).open("rb") as master:
                outcome(master, tmp_path)
        counts.append(len(open_files()))
    assert counts[-1] <= counts[0] + 2


def outcome(master, tmp_path):
    try:
        return convert(master, tmp_path / "out.jpg", ConversionContext())
    except Failure as failure:
        return failure


def test_the_profile_of_a_jp2_is_kept(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    convert(with_profile(profile), tmp_path / "out.jpg", ConversionContext(ConversionOptions(color="keep")))
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["icc_profile"] == profile


def with_profile(profile: bytes) -> io.BytesIO:
    """Returns a JP2 whose colour box holds *profile* instead of a number."""
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 90, "u1")).save(file, "JPEG2000")
    data = file.getvalue()
    box, head = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    end = box + int.from_bytes(data[box : box + 4])
    new = (len(profile) + 11).to_bytes(4) + b"colr\2\0\0" + profile
    size = int.from_bytes(data[head : head + 4]) + len(new) - (end - box)
    return io.BytesIO(data[:head] + size.to_bytes(4) + data[head + 4 : box] + new + data[end:])


class RecordingMaster(io.BytesIO):
    """A master that remembers the largest read."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.most = max(self.most, size or 0)
        return super().read(size)


def test_a_strip_with_a_wrong_size_is_not_read_beyond_its_possible_size(tmp_path):
    strip = packed(np.full((HEIGHT, WIDTH), 2048), 12)
    master = RecordingMaster(bare(strip, 1, [12], t279=("I", [2**32 - 1])))
    assert convert(master, tmp_path / "out.jpg", ConversionContext()).width == WIDTH
    assert master.most <= 2 * len(strip)


MEASURED = """
import sys
from pathlib import Path
from mezcal.convert import ConversionContext, ConversionOptions, convert
with open(sys.argv[1], "rb") as master:
    convert(master, Path(sys.argv[2]), ConversionContext())
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures in /proc")
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_memory_does_not_grow_with_the_master(orientation, tmp_path):
    """200 MB are enough for 120 megapixels, of which 360 MB would have to be held."""
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(
        tmp_path / "in.tif", np.zeros((10_000, 12_000, 3), "u1"), photometric="rgb", compression="deflate",
        rowsperstrip=64, extratags=tag,
    )  # fmt: skip
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "in.tif"), str(tmp_path / "out.jpg")]
    megabytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert megabytes < 200


def small(kind: str, mode: str = "RGB", **options) -> bytearray:
    """Returns a sound master of 64 x 64 pixels."""
    file = io.BytesIO()
    Image.new(mode, (64, 64), 90).save(file, kind, **options)
    return bytearray(file.getvalue())


def claiming(data: bytearray, places: dict[int, bytes], padding: int = 0) -> bytes:
    """Returns *data* with other bytes at *places*, and zeros after its end."""
    for at, new in places.items():
        data[at : at + len(new)] = new
    return bytes(data) + bytes(padding)


def jpeg(marker: bytes = b"\xff\xc2", side: int = 40_000, padding: int = 0, **options) -> bytes:
    data = small("JPEG", **({"progressive": True} if marker == b"\xff\xc2" else {}), **options)
    return claiming(data, {data.index(marker) + 5: struct.pack(">HH", side, side)}, padding)


def in_two_scans() -> bytes:
    """Returns a sequential JPEG whose first scan has one colour of three."""
    data = jpeg(b"\xff\xc0", padding=10**6)
    return data.replace(b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11", b"\xff\xda\0\x08\1\1\0", 1)


def interlaced(side: int, padding: int = 0) -> bytes:
    data = bytearray(adam7())
    head = struct.pack(">4sII", b"IHDR", side, side) + data[24:29]
    return claiming(data, {12: head + struct.pack(">I", zlib.crc32(head))}, padding)


def adam7() -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), "u1")
    return pyvips.Image.new_from_array(noise).copy(interpretation="srgb").pngsave_buffer(interlace=True)


def jp2(box: int, stream: int, tile: int) -> bytes:
    data = small("JPEG2000", "L")
    head, siz = data.index(b"ihdr") + 4, data.index(b"\xff\x51") + 6
    sides = struct.pack(">II", stream, stream)
    tiles = struct.pack(">II", tile, tile)
    return claiming(data, {head: struct.pack(">II", box, box), siz: sides, siz + 16: tiles})


def gif(side: int) -> bytes:
    """Returns a GIF with the same size for its screen and its first frame."""
    data, sides = small("GIF", "L"), struct.pack("<HH", side, side)
    return claiming(data, {6: sides, data.index(b"\x2c\0\0\0\0") + 5: sides})


HELD = {
    "progressive JPEG": jpeg(padding=10**6),
    "progressive JPEG with junk in its header": jpeg(padding=10**6).replace(b"\xff\xc2", b"junk\xff\0\xff\xff\xc2", 1),
    "JPEG in several scans": in_two_scans(),
    "interlaced PNG": interlaced(25_000, 2 * 10**6),
    "JPEG 2000": jp2(20_000, 20_000, 20_000),
    "JPEG 2000 of which the box tells less": jp2(64, 20_000, 20_000),
    "GIF": gif(40_000),
    "BMP": claiming(small("BMP"), {18: struct.pack("<II", 20_000, 20_000)}),
    "PNM": b"P6\n20000 20000\n255\n",
}


@pytest.mark.parametrize("kind", HELD)
def test_a_master_that_is_held_whole_is_refused_above_the_limit(kind, tmp_path):
    with pytest.raises(TooLarge, match=r"decoded whole, in [\d,]+ MB of memory, and 800 are allowed"):
        convert(io.BytesIO(HELD[kind]), tmp_path / "out.jpg", ConversionContext(ConversionOptions(oversize="refuse")))


@pytest.mark.parametrize(("budget", "side"), [(10**6, 128), (310_000, 64), (250_000, 32)])
def test_a_jpeg_2000_above_the_limit_is_decoded_in_a_smaller_size(budget, side, tmp_path, monkeypatch):
    monkeypatch.setattr(memory_limits, "DECODED_MAX", budget)
    master = io.BytesIO()
    Image.linear_gradient("L").resize((128, 128)).convert("RGB").save(master, "JPEG2000")
    picture = convert(master, tmp_path / "out.jpg", ConversionContext(ConversionOptions(oversize="scale")))
    assert (picture.width, picture.height) == (side, side)
    assert picture.note == (None if side == 128 else "scaled from 128 x 128")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (side, side)
        assert [image.getpixel((side // 2, side * eighth // 8))[0] // 16 for eighth in (1, 4, 7)] == [2, 8, 14]


def test_a_jpeg_2000_above_the_limit_without_smaller_sizes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_limits, "DECODED_MAX", 50_000)
    with pytest.raises(TooLarge, match="decoded whole"):
        convert(
            io.BytesIO(small("JPEG2000", num_resolutions=1)),
            tmp_path / "out.jpg",
            ConversionContext(ConversionOptions(oversize="scale")),
        )


HOLLOW = {
    "progressive JPEG": jpeg(),
    "JPEG": jpeg(b"\xff\xc0"),
    "PNG": interlaced(25_000),
}


@pytest.mark.parametrize("kind", HOLLOW)
def test_a_file_that_cannot_hold_its_declared_pixels_is_refused(kind, tmp_path):
    with pytest.raises(Undecodable, match="bytes cannot hold"):
        convert(io.BytesIO(HOLLOW[kind]), tmp_path / "out.jpg", ConversionContext())


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2, "quality": 1}])
def test_the_smallest_possible_jpeg_is_accepted(options, tmp_path):
    Image.new("L", (4_000, 4_000)).save(tmp_path / "in.jpg", optimize=True, **options)
    with (tmp_path / "in.jpg").open("rb") as master:
        assert convert(master, tmp_path / "out.jpg", ConversionContext()).width == 4_000


WHOLE = {
    "progressive JPEG": small("JPEG", progressive=True),
    "interlaced PNG": adam7(),
    "PNG": small("PNG"),
    "JPEG 2000": small("JPEG2000"),
    "tiled JPEG 2000": small("JPEG2000", tile_size=(32, 32)),
    "WebP": small("WEBP"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_master_that_is_held_whole_is_converted_below_the_limit(kind, tmp_path):
    assert convert(io.BytesIO(WHOLE[kind]), tmp_path / "out.jpg", ConversionContext()).width == 64


def test_a_damaged_interlaced_png_is_refused_with_the_reason(tmp_path):
    with pytest.raises(Undecodable, match=r"PNG: libvips reports .not enough data"):
        convert(io.BytesIO(adam7()[:6_000]), tmp_path / "out.jpg", ConversionContext())


def test_a_profile_that_is_too_large_is_ignored(tmp_path):
    tag = [(34675, "B", 17 * 2**20, bytes(17 * 2**20), True)]
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((9, 9, 3), "u1"), photometric="rgb", extratags=tag)
    with (tmp_path / "in.tif").open("rb") as master:
        convert(master, tmp_path / "out.jpg", ConversionContext(ConversionOptions(color="keep")))
    with Image.open(tmp_path / "out.jpg") as image:
        assert "icc_profile" not in image.info


REFUSED = """
import sys
from pathlib import Path
from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.errors import Failure
try:
    with open(sys.argv[1], "rb") as master:
        convert(master, Path(sys.argv[2]), ConversionContext())
except Failure as failure:
    print(failure.slug, int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""  # not ru_maxrss: it counts the process that started this one


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures in /proc")
@pytest.mark.parametrize(("padding", "slug"), [(0, "undecodable"), (10**6, "too-large")])
def test_a_small_file_with_large_declared_sizes_takes_no_memory(padding, slug, tmp_path):
    (tmp_path / "in.jpg").write_bytes(jpeg(padding=padding))
    command = [sys.executable, "-c", REFUSED, str(tmp_path / "in.jpg"), str(tmp_path / "out.jpg")]
    outcome, megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert outcome == slug
    assert int(megabytes) < 250


def test_a_box_that_ends_beyond_what_files_can_seek_to_is_refused(tmp_path):
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    (tmp_path / "in.jp2").write_bytes(signature + b"\0\0\0\1free" + b"\xff" * 8 + bytes(64))
    with (tmp_path / "in.jp2").open("rb") as master, pytest.raises(Undecodable, match="JPEG 2000"):
        convert(master, tmp_path / "out.jpg", ConversionContext())
