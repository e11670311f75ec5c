"""JPEG 2000: the file says what its components mean, and tiles are decoded one after the other."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from mezcal.convert import ConversionContext, convert
from mezcal.convert.jpeg2000 import boxes, engine
from mezcal.convert.master_reader import MasterReader
from mezcal.errors import Failure, Undecodable

WIDTH, HEIGHT = 96, 64
RGB_SPACE, GREY_SPACE, YCC_SPACE, LAB_SPACE, CMYK_SPACE = 16, 17, 18, 14, 12


def scene() -> np.ndarray:
    """Returns a smooth picture of several colours."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.dstack([across * 255 // WIDTH, down * 255 // HEIGHT, 255 - across * 200 // WIDTH]).astype("u1")


def box(kind: bytes, content: bytes) -> bytes:
    """Returns a box."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def colour(space: int) -> bytes:
    """Returns an enumerated colour specification."""
    return box(b"colr", struct.pack(">BBBI", 1, 0, 0, space))


def profile(data: bytes) -> bytes:
    """Returns a colour specification with a profile, as JPX has them."""
    return box(b"colr", b"\3\0\0" + data)


def definitions(*channels: tuple[int, int, int]) -> bytes:
    """Returns a channel definition: number, type and colour of each."""
    return box(b"cdef", struct.pack(">H", len(channels)) + b"".join(struct.pack(">3H", *each) for each in channels))


def jp2(samples: np.ndarray, *more: bytes, depth: int = 8) -> bytes:
    """Returns a lossless JP2 of *samples*, without a colour transform, with *more* boxes in its header."""
    options = {"codecformat": "j2k", "level": 0, "mct": False, "bitspersample": depth}
    stream = imagecodecs.jpeg2k_encode(np.ascontiguousarray(samples), **options)
    count = 1 if samples.ndim == 2 else samples.shape[2]
    head = box(b"ihdr", struct.pack(">IIHBBBB", *samples.shape[:2], count, depth - 1, 7, 0, 0))
    files = b"jpx \0\0\0\0jpx jp2 "
    signature = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", files)
    return signature + box(b"jp2h", head + b"".join(more)) + box(b"jp2c", bytes(stream))


def ycc() -> bytes:
    return jp2(np.asarray(Image.fromarray(scene()).convert("YCbCr")), colour(YCC_SPACE))


def lab() -> bytes:
    """Returns CIELab by the ranges that stand for files without any: b* is 0 at 96."""
    flat = np.full((HEIGHT, WIDTH, 3), (153, 128, 96), "u1")
    return jp2(flat, colour(LAB_SPACE))


def cmyk() -> bytes:
    return jp2(np.asarray(Image.fromarray(scene()).convert("CMYK")), colour(CMYK_SPACE))


def faded(*, premultiplied: bool) -> bytes:
    """Returns the scene with an opacity of a half; opacity is the first component."""
    alpha = np.full((HEIGHT, WIDTH, 1), 128, "u1")
    colours = scene() * (128 / 255) if premultiplied else scene()
    order = definitions((0, 2 if premultiplied else 1, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3))
    return jp2(np.dstack([alpha, colours.round().astype("u1")]), colour(RGB_SPACE), order)


def palette() -> bytes:
    """Returns sixteen colours by a palette."""
    image = Image.fromarray(scene()).quantize(16)
    table = bytes(image.getpalette()[:48])
    columns = box(b"pclr", struct.pack(">HB3B", 16, 3, 7, 7, 7) + table)
    mapping = box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3)))
    return jp2(np.asarray(image), columns, mapping, colour(RGB_SPACE))


GREY = scene()[..., 0]
HALF = (scene() * (128 / 255) + 127).round()
MEANINGS = {
    "RGB": (lambda: jp2(scene(), colour(RGB_SPACE)), scene()),
    "blue first": (
        lambda: jp2(scene()[..., ::-1], colour(RGB_SPACE), definitions((0, 0, 3), (1, 0, 2), (2, 0, 1))),
        scene(),
    ),
    "opacity first": (lambda: faded(premultiplied=False), HALF),
    "premultiplied": (lambda: faded(premultiplied=True), HALF),
    "palette": (palette, np.asarray(Image.fromarray(scene()).quantize(16).convert("RGB"))),
    "sYCC": (ycc, scene()),
    "CIELab": (lab, np.full((HEIGHT, WIDTH, 3), 145.0)),
    "one bit": (lambda: jp2((GREY > 100).astype("u1"), colour(GREY_SPACE), depth=1), (GREY > 100) * 255),
    "four bits": (lambda: jp2(GREY >> 4, colour(GREY_SPACE), depth=4), (GREY >> 4) * 17),
    "sixteen bits": (lambda: jp2(scene().astype("u2") * 257, colour(RGB_SPACE), depth=16), scene()),
}


def converted(master: bytes, tmp_path) -> np.ndarray:
    """Returns the pixels of the derivative."""
    convert(io.BytesIO(master), tmp_path / "out.jpg", ConversionContext())
    with Image.open(tmp_path / "out.jpg") as image:
        return np.asarray(image).astype("f8")


@pytest.mark.parametrize("kind", MEANINGS)
def test_components_are_shown_as_the_file_defines_them(kind, tmp_path):
    make, right = MEANINGS[kind]
    made = converted(make(), tmp_path)
    assert made.shape == right.shape
    assert np.abs(made - right).mean() < 3


def test_cmyk_is_converted_to_colours(tmp_path):
    assert np.abs(converted(cmyk(), tmp_path) - scene()).mean() < 60
    assert converted(jp2(np.zeros((9, 9, 4), "u1"), colour(CMYK_SPACE)), tmp_path).min() > 250  # no ink


def test_a_profile_is_applied(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(converted(jp2(scene(), profile(srgb)), tmp_path) - scene()).mean() < 3


def test_a_profile_of_another_kind_is_refused(tmp_path):
    lab_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(Undecodable, match="its profile is of a colour space that cannot be shown"):
        converted(jp2(scene(), profile(lab_profile)), tmp_path)


TILES = [
    {"tile_size": (40, 30)},
    {"tile_size": (40, 30), "offset": (13, 7)},
    {"tile_size": (40, 30), "offset": (53, 47), "tile_offset": (20, 30)},
    {"tile_size": (40, 64), "offset": (0, 10), "tile_offset": (0, 0)},  # as high as the picture
    {"tile_size": (1_000, 1_000)},
    {"tile_size": (33, 33), "progression": "CPRL", "precinct_size": (64, 64), "codeblock_size": (16, 16)},
    {"tile_size": (64, 32), "irreversible": True, "quality_mode": "rates", "quality_layers": [8, 4, 2]},
]


@pytest.mark.parametrize("options", TILES, ids=str)
@pytest.mark.parametrize("container", [True, False])
def test_tiles_one_by_one_are_the_picture_decoded_at_once(options, container, tmp_path):
    file = io.BytesIO()
    Image.fromarray(scene()).save(file, "JPEG2000", no_jp2=not container, **options)
    with Image.open(io.BytesIO(file.getvalue())) as image:
        whole = np.asarray(image).astype("f8")
    made = converted(file.getvalue(), tmp_path)
    assert made.shape == whole.shape
    assert np.abs(made - whole).max() < 12


def test_wrong_numbers_of_tile_parts_do_no_harm(tmp_path):
    """As Photoshop's plug-in writes them: the number of the only part equals the number of parts."""
    data = bytearray(jp2(scene(), colour(RGB_SPACE)))
    part = data.index(b"\xff\x90\0\x0a")
    data[part + 10 : part + 12] = b"\1\1"
    assert np.abs(converted(bytes(data), tmp_path) - scene()).mean() < 3


def test_a_tile_that_is_cut_or_missing_is_refused(tmp_path):
    file = io.BytesIO()
    Image.fromarray(scene()).save(file, "JPEG2000", tile_size=(40, 30))
    data = file.getvalue()
    with pytest.raises(Undecodable, match=r"JPEG 2000: tile [0-9]+ is (cut|missing)"):
        converted(data[: len(data) * 2 // 3], tmp_path)


@pytest.mark.parametrize("levels", [1, 2, 1_200])
def test_a_resolution_within_another_is_ignored(levels, tmp_path):
    resolution = box(b"resd", struct.pack(">4H2b", 300, 1, 300, 1, 2, 2))
    for _ in range(levels):
        resolution = box(b"res ", resolution)
    data = jp2(scene(), colour(RGB_SPACE), resolution)
    assert np.abs(converted(data, tmp_path) - scene()).mean() < 3
    assert (boxes.read(MasterReader(io.BytesIO(data))).dpi is not None) == (levels == 1)


@pytest.mark.parametrize("length", range(0, 200, 9))
def test_a_header_that_is_cut_off_is_refused(length, tmp_path):
    data = jp2(scene(), colour(RGB_SPACE), definitions((0, 0, 1), (1, 0, 2), (2, 0, 3)))
    with pytest.raises(Failure):
        converted(data[:length], tmp_path)


@pytest.mark.parametrize("tiles", [{}, {"tile_size": (256, 256)}], ids=["whole", "tiles"])
@pytest.mark.parametrize(("most", "width"), [(1_000, 2_000), (14, 1_000)])
def test_a_wide_picture_is_decoded_in_a_size_whose_rows_fit_the_memory(most, width, tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "WITH_ROWS_MAX", most * 2**20)
    Image.fromarray(scene()).resize((2_000, 256)).save(tmp_path / "in.jp2", num_resolutions=6, **tiles)
    with (tmp_path / "in.jp2").open("rb") as file:
        picture = convert(file, tmp_path / "out.jpg", ConversionContext())
    assert picture.width == width
    assert picture.note == (None if width == 2_000 else "scaled from 2000 x 256")
