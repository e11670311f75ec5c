"""Every mode a TIFF can have, made here from known numbers and compared with them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.errors import Undecodable
from tests.support.masters import with_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

HEIGHT, WIDTH = 75, 101
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([COLUMNS * 2.5, ROWS * 3.4, (COLUMNS + ROWS) * 1.4], -1).round().astype("u1")
GREY = (RGB @ [0.3, 0.5, 0.2]).round().astype("u1")
ALPHA = np.broadcast_to((COLUMNS * 2.5).round().astype("u1"), (HEIGHT, WIDTH))
TILE = (32, 48)


def over_white(colour: np.ndarray) -> np.ndarray:
    share = ALPHA[..., None] / 255
    return colour * share + 255 * (1 - share)


def converted(path: Any, tmp_path: Any, **options: Any) -> np.ndarray:
    with path.open("rb") as master:
        convert(master, tmp_path / "out.jpg", ConversionContext(ConversionOptions(quality=95, **options)))
    with Image.open(tmp_path / "out.jpg") as image:
        return np.asarray(image.convert("RGB")).astype(float)


def assert_like(found: np.ndarray, wanted: np.ndarray, most: float = 5) -> None:
    wanted = np.broadcast_to(wanted.reshape(*wanted.shape[:2], -1), (*wanted.shape[:2], 3))
    assert found.shape == wanted.shape
    assert np.sqrt(((found - wanted) ** 2).mean()) < most


def wide(array: np.ndarray) -> np.ndarray:
    return array.astype("u2") * 257


PREMULTIPLIED = np.dstack([(RGB * (ALPHA[..., None] / 255)).round().astype("u1"), ALPHA])
LAYOUTS = {
    "rgb8": (RGB, RGB, {"photometric": "rgb"}),
    "rgb16": (wide(RGB), RGB, {"photometric": "rgb"}),
    "grey8": (GREY, GREY, {"photometric": "minisblack"}),
    "grey16": (wide(GREY), GREY, {"photometric": "minisblack"}),
    "white8": (255 - GREY, GREY, {"photometric": "miniswhite"}),
    "white16": (65535 - wide(GREY), GREY, {"photometric": "miniswhite"}),
    "planar8": (np.moveaxis(RGB, -1, 0), RGB, {"photometric": "rgb", "planarconfig": "separate"}),
    "planar16": (np.moveaxis(wide(RGB), -1, 0), RGB, {"photometric": "rgb", "planarconfig": "separate"}),
    "rgba": (
        np.dstack([RGB, ALPHA]),
        over_white(RGB),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "rgba16": (
        wide(np.dstack([RGB, ALPHA])),
        over_white(RGB),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "associated": (PREMULTIPLIED, over_white(RGB), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    "infrared": (np.dstack([RGB, ALPHA]), RGB, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
    "white_alpha": (
        np.dstack([255 - GREY, ALPHA]),
        over_white(GREY[..., None]),
        {"photometric": "miniswhite", "extrasamples": ["unassalpha"]},
    ),
    "white_alpha_planar": (
        np.stack([255 - GREY, ALPHA]),
        over_white(GREY[..., None]),
        {"photometric": "miniswhite", "extrasamples": ["unassalpha"], "planarconfig": "separate"},
    ),
    "rgba_uint32": (
        np.dstack([RGB, ALPHA]).astype("u4") * 2**24,
        over_white(RGB),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "rgba_float": (
        (np.dstack([RGB, ALPHA]) / 255).astype("f4"),
        over_white(RGB),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "rgba_stretched": (
        np.dstack([RGB * 40.0 - 3000, ALPHA / 255]).astype("f4"),
        over_white(RGB),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "half": ((RGB / 255).astype("f2"), RGB, {"photometric": "rgb"}),
    "float": ((RGB / 255).astype("f4"), RGB, {"photometric": "rgb"}),
    "double": ((GREY / 255).astype("f8"), GREY, {"photometric": "minisblack"}),
    "float_white": ((1 - GREY / 255).astype("f4"), GREY, {"photometric": "miniswhite"}),
    "uint32": (RGB.astype("u4") * 2**24, RGB, {"photometric": "rgb"}),
    "int16": ((GREY.astype("i2") - 128) * 200, GREY, {"photometric": "minisblack"}),
    "bilevel": (GREY > 128, (GREY > 128) * 255, {"photometric": "minisblack"}),
}
SCHEMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "lzw": {"compression": "lzw", "predictor": True},
    "deflate_tiles": {"compression": "deflate", "tile": TILE},
    "zstd": {"compression": "zstd", "rowsperstrip": 16},
    "big_endian": {"byteorder": ">", "bigtiff": True, "tile": TILE},
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_of_every_mode_are_kept(layout, scheme, tmp_path):
    pixels, wanted, options = LAYOUTS[layout]
    scheme_options = dict(SCHEMES[scheme])
    if layout == "bilevel" and scheme != "plain":
        scheme_options.pop("predictor", None)
    if pixels.dtype.kind == "f" and scheme_options.get("predictor"):
        scheme_options["predictor"] = 3
    tifffile.imwrite(tmp_path / "in.tif", pixels, **options, **scheme_options)
    most = 14 if layout in ("bilevel", "int16") else 5
    assert_like(converted(tmp_path / "in.tif", tmp_path), wanted, most)


@pytest.mark.parametrize("scheme", ["lzma", "lerc", "jpegxl", "jpeg2000", "png", "webp"])
@pytest.mark.parametrize("tile", [None, TILE], ids=["strips", "tiles"])
def test_a_rare_compression_is_decoded(scheme, tile, tmp_path):
    tile = (32, 64) if tile else None
    tifffile.imwrite(tmp_path / "in.tif", RGB, photometric="rgb", compression=scheme, tile=tile)
    assert_like(converted(tmp_path / "in.tif", tmp_path), RGB, 9)


@pytest.mark.parametrize("layout", ["grey8", "white8", "white_alpha", "rgb8", "rgba", "associated", "infrared"])
@pytest.mark.parametrize("tile", [None, (32, 64)], ids=["strips", "tiles"])
@pytest.mark.parametrize("planes", [False, True], ids=["side by side", "planes"])
def test_jpeg_inside_is_decoded_in_every_layout(layout, tile, planes, tmp_path):
    pixels, wanted, options = LAYOUTS[layout]
    options = {"compression": "jpeg", "compressionargs": {"level": 95}, "tile": tile, **options}
    data: Any = pixels
    if planes and pixels.ndim == 3:
        data, options["planarconfig"] = np.moveaxis(pixels, -1, 0), "separate"
    elif pixels.ndim == 3 and pixels.shape[2] == 4:
        data = jpegs_of_four_samples(pixels, *(tile or (HEIGHT, WIDTH)))
        options |= {"shape": pixels.shape, "dtype": "u1", "planarconfig": "contig"}
        options |= {} if tile else {"rowsperstrip": HEIGHT}
    tifffile.imwrite(tmp_path / "in.tif", data, **options)
    assert_like(converted(tmp_path / "in.tif", tmp_path), wanted, 6)
    if layout in ("rgba", "associated", "infrared"):  # tifffile writes YCbCr, others write what the data are
        as_rgb = with_tags((tmp_path / "in.tif").read_bytes(), {262: (3, (2,)), 530: None, 532: None})
        (tmp_path / "in.tif").write_bytes(as_rgb)
        assert_like(converted(tmp_path / "in.tif", tmp_path), wanted, 6)


def jpegs_of_four_samples(pixels: np.ndarray, rows: int, columns: int) -> Iterator[bytes]:
    padded = np.pad(pixels, ((0, -HEIGHT % rows), (0, -WIDTH % columns), (0, 0)), "edge")
    for top in range(0, HEIGHT, rows):
        for left in range(0, WIDTH, columns):
            tile = np.ascontiguousarray(padded[top : top + rows, left : left + columns])
            yield imagecodecs.jpeg8_encode(tile, 95, colorspace="CMYK", outcolorspace="CMYK")


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_an_unusual_depth_is_scaled_by_its_white(bits, white_is_zero, tmp_path):
    top = 2**bits - 1
    levels = (GREY / 255 * top).round().astype("u4")
    (tmp_path / "in.tif").write_bytes(packed(top - levels if white_is_zero else levels, bits, not white_is_zero))
    assert_like(converted(tmp_path / "in.tif", tmp_path), levels / top * 255, 6)


def packed(levels: np.ndarray, bits: int, black_is_zero: bool) -> bytes:
    """Returns a minimal TIFF of one grey strip. Each sample has *bits* bits; each row begins at a byte."""
    raw = np.packbits((levels[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(HEIGHT, -1).astype("u1"), axis=1)
    data = raw.tobytes()
    fields = [(256, WIDTH), (257, HEIGHT), (258, bits), (259, 1), (262, int(black_is_zero))]
    fields += [(273, 8 + 2 + 12 * 9 + 4), (277, 1), (278, HEIGHT), (279, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return struct.pack("<2sHIH", b"II", 42, 8, len(fields)) + entries + bytes(4) + data


def test_signed_bytes_are_shown_as_every_viewer_does(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", GREY.view("i1"), photometric="minisblack")
    assert_like(converted(tmp_path / "in.tif", tmp_path), GREY)


def test_floats_outside_0_to_1_are_stretched_and_nan_and_infinity_ignored(tmp_path):
    pixels = GREY.astype("f4") * 40 - 3000
    pixels[0, :3] = [np.nan, np.inf, -np.inf]
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack")
    low, high = float(GREY.min()), float(GREY.max())
    assert_like(converted(tmp_path / "in.tif", tmp_path)[1:], (GREY[1:] - low) / (high - low) * 255)


def test_the_background_shows_through(tmp_path):
    clear = np.dstack([RGB, np.zeros_like(GREY)])
    tifffile.imwrite(tmp_path / "in.tif", clear, photometric="rgb", extrasamples=["unassalpha"])
    found = converted(tmp_path / "in.tif", tmp_path, background=(20, 120, 220))
    assert_like(found, np.broadcast_to([20.0, 120.0, 220.0], RGB.shape), 3)


def test_palette_with_alpha_is_looked_up_and_flattened(tmp_path):
    table = np.stack([np.arange(256), 255 - np.arange(256), np.arange(256) // 2]).astype("u2") * 257
    tifffile.imwrite(tmp_path / "in.tif", GREY, photometric="palette", colormap=table)
    assert_like(converted(tmp_path / "in.tif", tmp_path), np.stack([GREY, 255 - GREY, GREY // 2], -1))


def test_complex_numbers_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", (GREY + 1j * GREY).astype("c8"))
    with pytest.raises(Undecodable, match="complex"):
        converted(tmp_path / "in.tif", tmp_path)


@pytest.mark.parametrize("kind", ["png", "bmp", "ppm", "jp2", "j2k", "jpg", "webp", "avif", "sgi", "qoi"])
def test_pixels_of_other_formats_are_kept(kind, tmp_path):
    Image.fromarray(RGB).save(tmp_path / f"in.{kind}")
    assert_like(converted(tmp_path / f"in.{kind}", tmp_path), RGB, 9)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("tile", [None, TILE], ids=["strips", "tiles"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_separate_planes_of_a_single_sample_are_read(dtype, tile, compression, tmp_path):
    pixels = {"u1": GREY, "u2": wide(GREY), "f4": (GREY / 255).astype("f4")}[dtype]
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack", compression=compression, tile=tile)
    data = with_tags((tmp_path / "in.tif").read_bytes(), {284: (3, (2,))})
    (tmp_path / "in.tif").write_bytes(data)
    assert_like(converted(tmp_path / "in.tif", tmp_path), GREY)


def lab_samples(kind: str) -> np.ndarray:
    """Returns the picture RGB as LAB samples: CIELAB or ICCLAB of 8 or 16 bits, or floats."""
    lab = pyvips.Image.new_from_array(RGB).colourspace("lab").numpy()
    light, opponents = lab[..., :1] / 100, lab[..., 1:]
    if kind == "float":
        return lab.astype("f4")
    if kind.startswith("itulab"):
        peak = 2 ** int(kind[6:]) - 1
        shares = np.dstack([light, opponents / (170, 200) + np.array([128, 96]) / 255]).clip(0, 1)
        return (shares * peak).round().astype("u1" if peak == 255 else "u2")
    if kind.endswith("8"):
        a_b = opponents.round().clip(-128, 127) + (128 if kind == "icclab8" else 0)
        return np.dstack([light * 255, a_b % 256]).round().astype("u1")
    a_b = (opponents * 256).round() + (32768 if kind == "icclab16" else 0)
    return np.dstack([(light * (65280 if kind == "icclab16" else 65535)).round(), a_b % 65536]).astype("u2")


LAB_SCHEMES = {
    "strips": {},
    "planes": {"planarconfig": "separate"},
    "tiles": {"tile": TILE, "compression": "lzw"},
    "planar tiles": {"planarconfig": "separate", "tile": TILE, "compression": "deflate"},
}


@pytest.mark.parametrize("scheme", LAB_SCHEMES)
@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize("kind", ["cielab8", "cielab16", "icclab8", "icclab16", "itulab8", "itulab16", "float"])
def test_lab_of_every_layout_becomes_the_colours(kind, alpha, scheme, tmp_path):
    samples = lab_samples(kind)
    peak = {"u1": 255, "u2": 65535, "f4": 1}[samples.dtype.str[1:]]
    if alpha:
        samples = np.dstack([samples, (ALPHA / 255 * peak).astype(samples.dtype)])
    options: dict[str, Any] = {"extrasamples": ["unassalpha"]} if alpha else {}
    options |= LAB_SCHEMES[scheme]
    shown = np.moveaxis(samples, -1, 0) if "planarconfig" in options else samples
    tifffile.imwrite(
        tmp_path / "in.tif", shown, photometric=kind.rstrip("0123456789").replace("float", "cielab"), **options
    )
    assert_like(converted(tmp_path / "in.tif", tmp_path), over_white(RGB) if alpha else RGB, 6)


@pytest.mark.parametrize("space", ["rgb", "unknown"])
@pytest.mark.parametrize("kind", ["cielab8", "icclab8", "itulab8"])
def test_lab_in_jpeg_is_not_taken_for_ycbcr(kind, space, tmp_path):
    samples = lab_samples(kind)
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric=kind[:-1], rowsperstrip=HEIGHT)
    strip = imagecodecs.jpeg8_encode(samples, 98, colorspace=space, outcolorspace=space, subsampling="444")
    data = (tmp_path / "in.tif").read_bytes()
    at = len(data) + len(data) % 2
    tags = {259: (3, (7,)), 273: (4, (at,)), 279: (4, (len(strip),))}
    data = with_tags(data.ljust(at, b"\0") + bytes(strip), tags)
    (tmp_path / "in.tif").write_bytes(data)
    assert_like(converted(tmp_path / "in.tif", tmp_path), RGB, 12)


@pytest.mark.parametrize("kind", ["cielab8", "cielab16", "icclab16"])
def test_lightness_alone_is_grey(kind, tmp_path):
    light = lab_samples(kind)[..., 0]
    tifffile.imwrite(tmp_path / "in.tif", light, photometric="minisblack")
    data = with_tags((tmp_path / "in.tif").read_bytes(), {262: (3, (9 if kind.startswith("icc") else 8,))})
    (tmp_path / "in.tif").write_bytes(data)
    lab = np.dstack([lab_samples("float")[..., :1], np.zeros((HEIGHT, WIDTH, 2), "f4")])
    grey = pyvips.Image.new_from_array(lab, interpretation="lab").colourspace("srgb").numpy()
    assert_like(converted(tmp_path / "in.tif", tmp_path), grey, 4)
