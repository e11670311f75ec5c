"""What a conversion may take: memory, descriptors, and which kinds of file at all."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mezcal.convert import Choices, convert
from mezcal.errors import Failure, NotAnImage
from tools.tiny_masters import HEIGHT, WIDTH, bare, packed

MASTERS = Path(__file__).parent.parent / "data" / "masters"

NO_IMAGES = {
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "matrix": b"3 3\n1 2 3\n4 5 6\n7 8 9\n",
    "html": b"<!doctype html><title>Not found</title>",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_is_told_so_and_reaches_no_decoder(kind, tmp_path):
    with pytest.raises(NotAnImage):
        convert(io.BytesIO(NO_IMAGES[kind]), tmp_path / "out.jpg", Choices())
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_a_worker_that_lives_long_keeps_no_descriptors(tmp_path):
    names = ["rgb8_lzw.tif", "rgb8_zstd.tif", "jp2_rev.jp2", "png_rgba8.png", "trunc_rgb8_tiled.tif"]
    counts = []
    for _ in range(6):
        for name in names:
            with (MASTERS / name).open("rb") as master:
                outcome(master, tmp_path)
        counts.append(len(list(Path("/proc/self/fd").iterdir())))
    assert counts[-1] <= counts[0] + 2


def outcome(master, tmp_path):
    try:
        return convert(master, tmp_path / "out.jpg", Choices())
    except Failure as failure:
        return failure


def test_the_profile_of_a_jp2_counts(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    convert(with_profile(profile), tmp_path / "out.jpg", Choices(color="keep"))
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["icc_profile"] == profile


def with_profile(profile: bytes) -> io.BytesIO:
    """A JP2 whose colour box holds *profile* instead of a number."""
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 90, "u1")).save(file, "JPEG2000")
    data = file.getvalue()
    box, head = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    end = box + int.from_bytes(data[box : box + 4])
    new = (len(profile) + 11).to_bytes(4) + b"colr\2\0\0" + profile
    size = int.from_bytes(data[head : head + 4]) + len(new) - (end - box)
    return io.BytesIO(data[:head] + size.to_bytes(4) + data[head + 4 : box] + new + data[end:])


class Asked(io.BytesIO):
    """A master that remembers the most that was asked of it at once."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.most = max(self.most, size or 0)
        return super().read(size)


def test_a_strip_that_lies_about_its_size_is_read_no_further_than_it_can_reach(tmp_path):
    strip = packed(np.full((HEIGHT, WIDTH), 2048), 12)
    master = Asked(bare(strip, 1, [12], t279=("I", [2**32 - 1])))
    assert convert(master, tmp_path / "out.jpg", Choices()).width == WIDTH
    assert master.most <= 2 * len(strip)


MEASURED = """
import sys
from pathlib import Path
from mezcal.convert import Choices, convert
with open(sys.argv[1], "rb") as master:
    convert(master, Path(sys.argv[2]), Choices())
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
