"""Simple TIFF layouts that several threads decode: the same pixels as libvips makes of them, and the same refusals."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from mezcal.convert import ConversionContext, convert
from mezcal.convert.master_reader import MasterReader
from mezcal.convert.tiff import parallel_layouts
from mezcal.convert.tiff.pages import choose_page, read_pages
from mezcal.errors import Undecodable

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH = 397, 421  # no multiple of anything
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips of 5 rows": {"rowsperstrip": 5},
    "strips of 16 rows": {"rowsperstrip": 16},
    "one strip": {"rowsperstrip": HEIGHT},
    "tiles": {"tile": (64, 48)},
    "deflate": {"compression": "zlib", "rowsperstrip": 7},
    "deflate with differences": {"compression": "zlib", "predictor": True, "rowsperstrip": 32},
    "deflated tiles": {"compression": "zlib", "predictor": True, "tile": (128, 128)},
    "big-endian": {"byteorder": ">", "rowsperstrip": 11},
    "big-endian deflate": {"byteorder": ">", "compression": "zlib", "predictor": True, "rowsperstrip": 20},
}


def pixels(bands: int, dtype: str) -> np.ndarray:
    """Slopes with noise, so that a row or sample out of place shows."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    slopes = np.stack([rows * (band + 1) + columns * (3 - band) for band in range(bands)], -1) % 256
    noisy = (slopes + np.random.default_rng(7).integers(0, 20, slopes.shape)).clip(0, 255)
    whole = noisy.astype(dtype) * (257 if dtype == "u2" else 1)
    return whole[..., 0] if bands == 1 else whole


def master(path: Path, bands: int, dtype: str, **layout: Any) -> bytes:
    photometric = {1: "minisblack", 3: "rgb", 4: "separated"}[bands]
    tifffile.imwrite(path, pixels(bands, dtype), photometric=photometric, **layout)
    return path.read_bytes()


def is_simple(data: bytes) -> bool:
    file = MasterReader(io.BytesIO(data))
    return parallel_layouts.open_strips(file, choose_page(read_pages(file), None)) is not None


def jpeg_of(data: bytes, folder: Path) -> np.ndarray:
    target = folder / "out.jpg"
    convert(io.BytesIO(data), target, ConversionContext(scratch=folder))
    with Image.open(target) as image:
        return np.asarray(image)


def by_libvips(data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    with monkeypatch.context() as only:
        only.setattr(parallel_layouts, "is_simple", lambda _page: False)
        return jpeg_of(data, folder)


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_pixel_is_that_of_libvips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, dtype: str, bands: int
) -> None:
    data = master(tmp_path / "m.tif", bands, dtype, **LAYOUTS[layout])
    assert is_simple(data)
    assert (jpeg_of(data, tmp_path) == by_libvips(data, tmp_path, monkeypatch)).all()


@pytest.mark.parametrize("options", [{"tile": (64, 64)}, {"rowsperstrip": 16}])
@pytest.mark.parametrize("photometric", ["ycbcr", "rgb", "minisblack"])
def test_jpeg_inside_is_decoded_as_libtiff_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photometric: str, options: dict[str, Any]
) -> None:
    shown = pixels(1 if photometric == "minisblack" else 3, "u1")
    subsampled: dict[str, Any] = {"subsampling": (2, 2)} if photometric == "ycbcr" else {}
    how = {"compression": "jpeg", "compressionargs": {"level": 90}, "photometric": photometric, **subsampled, **options}
    tifffile.imwrite(tmp_path / "m.tif", shown, **how)
    data = (tmp_path / "m.tif").read_bytes()
    assert is_simple(data)
    assert (jpeg_of(data, tmp_path) == by_libvips(data, tmp_path, monkeypatch)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_master_is_turned_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int) -> None:
    tag = (274, "H", 1, orientation, True)
    data = master(tmp_path / "m.tif", 3, "u1", compression="zlib", rowsperstrip=16, extratags=[tag])
    assert (jpeg_of(data, tmp_path) == by_libvips(data, tmp_path, monkeypatch)).all()


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.95])
def test_damage_in_a_strip_is_refused(tmp_path: Path, cut: float) -> None:
    data = bytearray(master(tmp_path / "m.tif", 3, "u1", compression="zlib", rowsperstrip=32))
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        offsets, counts = file.pages[0].dataoffsets, file.pages[0].databytecounts
    at = int(len(offsets) * cut)
    half = offsets[at] + counts[at] // 2
    data[half : offsets[at] + counts[at]] = b"\xff" * (offsets[at] + counts[at] - half)
    with pytest.raises(Undecodable):
        jpeg_of(bytes(data), tmp_path)


def test_a_strip_longer_than_needed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some writers fill the last strip up."""
    shown = pixels(1, "u1")
    coded = [zlib.compress(shown[top : top + 64].tobytes().ljust(64 * WIDTH, b"\0")) for top in range(0, HEIGHT, 64)]
    tifffile.imwrite(
        tmp_path / "m.tif", iter(coded), shape=shown.shape, dtype="u1", compression="zlib", rowsperstrip=64,
        photometric="minisblack",
    )  # fmt: skip
    data = (tmp_path / "m.tif").read_bytes()
    assert (jpeg_of(data, tmp_path) == by_libvips(data, tmp_path, monkeypatch)).all()


def test_a_jpeg_inside_without_its_end_is_left_to_libvips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"compression": "jpeg", "photometric": "rgb", "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "m.tif", pixels(3, "u1"), **how)
    data = bytearray((tmp_path / "m.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        end = file.pages[0].dataoffsets[9] + file.pages[0].databytecounts[9]
    data[end - 40 : end] = b"\x12" * 40
    ended = []
    for way in (jpeg_of, lambda *given: by_libvips(*given, monkeypatch)):
        try:
            ended.append(way(bytes(data), tmp_path).tobytes())
        except Undecodable as refusal:
            ended.append(str(refusal))
    assert ended[0] == ended[1]


@pytest.mark.parametrize(
    "layout",
    [
        {"photometric": "miniswhite"},
        {"planarconfig": "separate", "photometric": "rgb"},
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
        {"photometric": "minisblack", "compression": "lzw"},
    ],
)
def test_other_layouts_are_not_decoded_by_several_threads(tmp_path: Path, layout: dict[str, Any]) -> None:
    bands = 4 if "extrasamples" in layout else 3 if layout["photometric"] == "rgb" else 1
    shown = pixels(bands, "u1")
    if layout.get("planarconfig"):
        shown = np.moveaxis(shown, -1, 0)
    tifffile.imwrite(tmp_path / "m.tif", shown, **layout)
    assert not is_simple((tmp_path / "m.tif").read_bytes())
