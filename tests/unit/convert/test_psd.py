"""Photoshop files, written here from known numbers: every mode, depth and compression that is shown, and others."""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.engines.decoded import CannotRead
from mezcal.convert.master_reader import MasterReader
from mezcal.convert.psd.engine import load
from mezcal.convert.psd.header import LONG
from mezcal.errors import BadRecipe, Undecodable
from tests.unit.convert.test_modes import ALPHA, GREY, HEIGHT, RGB, WIDTH, assert_like, lab_samples, over_white
from tools.tiny_masters import grey_profile

MODES = {"bitmap": 0, "grey": 1, "indexed": 2, "rgb": 3, "cmyk": 4, "multichannel": 7, "duotone": 8, "lab": 9}
WHITE_SHARE = 1 - ALPHA[..., None] / 255
BLUE = (20, 120, 220)


def psd(
    mode: str, planes: np.ndarray, *, packed: bool = False, wide: bool = False, layers: int = 0, **more: Any
) -> bytes:
    """Returns a PSD (or, *wide*, a PSB) of *planes*: channels x rows x samples, as they are stored."""
    count, rows = len(planes), planes.shape[1]
    depth = more.get("depth", 8)
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 2 if wide else 1, count, rows, WIDTH, depth, MODES[mode])
    resources = b"".join(
        b"8BIM" + struct.pack(">H2xI", number, len(data)) + data + bytes(len(data) % 2)
        for number, data in more.get("resources", {}).items()
    )
    palette, code = more.get("palette", b""), ">Q" if wide else ">I"
    described = struct.pack(f"{code}h", 2, layers) if layers else b""
    for key, data in more.get("blocks", {}).items():
        described = described or bytes(struct.calcsize(code) + 4)  # neither layers nor a global mask before the blocks
        size = struct.pack(code if key in LONG else ">I", len(data))
        described += b"8BIM" + key + size + data + bytes(-len(data) % 4)
    parts = [head, *(struct.pack(">I", len(part)) + part for part in (palette, resources))]
    parts += [struct.pack(code, len(described)), described, struct.pack(">H", 1 if packed else 0)]
    lines = [plane[row].tobytes() for plane in planes for row in range(rows)]
    if packed:
        lines = [imagecodecs.packbits_encode(line) for line in lines]
        parts.append(b"".join(struct.pack(">I" if wide else ">H", len(line)) for line in lines))
    return b"".join([*parts, *lines])


def stored(pixels: np.ndarray, depth: int) -> np.ndarray:
    """Returns 8-bit *pixels* as planes of *depth* bits; floats are linear light."""
    planes = np.moveaxis(pixels.reshape(HEIGHT, WIDTH, -1), -1, 0)
    if depth == 8:
        return planes.astype("u1")
    if depth == 16:
        return (planes.astype(">u2") * 257).astype(">u2")
    share = planes / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(">f4")


def shown(data: bytes, tmp_path: Any, **options: Any) -> np.ndarray:
    context = ConversionContext(ConversionOptions(quality=95, **options))
    convert(io.BytesIO(data), tmp_path / "out.jpg", context)
    with Image.open(tmp_path / "out.jpg") as image:
        return np.asarray(image.convert("RGB")).astype(float)


@pytest.mark.parametrize("wide", [False, True], ids=["PSD", "PSB"])
@pytest.mark.parametrize("packed", [False, True], ids=["raw", "packed"])
@pytest.mark.parametrize(
    ("mode", "depth"), [*((mode, depth) for mode in ("rgb", "grey") for depth in (8, 16, 32)), ("duotone", 8)]
)
def test_the_composite_is_shown(mode, depth, packed, wide, tmp_path):
    pixels = RGB if mode == "rgb" else GREY
    data = psd(mode, stored(pixels, depth), packed=packed, wide=wide, depth=depth)
    assert_like(shown(data, tmp_path), pixels, 4)


def faded(depth: int) -> np.ndarray:
    """Returns planes of RGB and alpha, with the colours mixed with white as Photoshop does: in floats, as light."""
    if depth < 32:
        return stored(np.dstack([over_white(RGB), ALPHA]).round(), depth)
    share = (ALPHA / 255).astype("f4")
    return np.concatenate([stored(RGB, 32) * share + (1 - share), share[None]]).astype(">f4")


@pytest.mark.parametrize("depth", [8, 16, 32])
def test_transparency_is_taken_out_of_the_white_that_it_was_mixed_with(depth, tmp_path):
    data = psd("rgb", faded(depth), depth=depth, layers=-1)
    assert_like(shown(data, tmp_path), over_white(RGB), 4)
    assert_like(shown(data, tmp_path, background=BLUE), over_blue(), 5)


def over_blue() -> np.ndarray:
    return RGB * (1 - WHITE_SHARE) + np.array(BLUE, "f8") * WHITE_SHARE


@pytest.mark.parametrize("wide", [False, True], ids=["PSD", "PSB"])
@pytest.mark.parametrize(
    ("depth", "blocks"),
    [
        (16, {b"Patt": b"abc", b"Lr16": b"\xff\xff" + bytes(6)}),
        (32, {b"Lr32": b"\xff\xfe" + bytes(4)}),
        (8, {b"Layr": b"\xff\xff"}),
        (16, {b"Lr16": b"\0\2", b"Mt16": b""}),
    ],
    ids=["16 bits", "32 bits", "8 bits", "merged"],
)
def test_layers_in_a_block_tell_of_transparency(depth, blocks, wide, tmp_path):
    data = psd("rgb", faded(depth), depth=depth, wide=wide, blocks=blocks)
    assert_like(shown(data, tmp_path, background=BLUE), over_blue(), 5)


@pytest.mark.parametrize("blocks", [{b"Lr16": b"\0\2"}, {b"Lr16": b"\xff"}, {b"Lr16": b""}, {b"Patt": b"\xff\xff"}])
def test_blocks_without_transparency_change_nothing(blocks, tmp_path):
    planes = stored(np.dstack([RGB, np.zeros_like(GREY)]), 16)
    assert_like(shown(psd("rgb", planes, depth=16, blocks=blocks), tmp_path), RGB, 4)


@pytest.mark.parametrize("layers", [0, 3])
def test_a_saved_selection_is_no_transparency(layers, tmp_path):
    data = psd("rgb", stored(np.dstack([RGB, np.zeros_like(GREY)]), 8), layers=layers)
    assert_like(shown(data, tmp_path), RGB, 4)


@pytest.mark.parametrize("packed", [False, True])
def test_a_bitmap_has_black_for_1(packed, tmp_path):
    bits = np.packbits(GREY < 128, axis=1)[None]
    assert_like(shown(psd("bitmap", bits, depth=1, packed=packed), tmp_path), np.where(GREY < 128, 0, 255), 14)


def test_colours_are_looked_up(tmp_path):
    palette = np.stack([np.arange(256), 255 - np.arange(256), np.arange(256) // 2]).astype("u1").tobytes()
    wanted = np.stack([GREY, 255 - GREY, GREY // 2], -1)
    assert_like(shown(psd("indexed", GREY[None], palette=palette), tmp_path), wanted, 6)


@pytest.mark.parametrize("depth", [8, 16])
def test_inks_are_stored_inverted(depth, tmp_path):
    inks = np.asarray(Image.fromarray(RGB).convert("CMYK"))
    file = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(file, "TIFF")
    wanted = shown(file.getvalue(), tmp_path)
    assert_like(shown(psd("cmyk", stored(255 - inks, depth), depth=depth), tmp_path), wanted, 3)


@pytest.mark.parametrize("depth", [8, 16])
def test_lab_becomes_the_colours(depth, tmp_path):
    lab = lab_samples(f"icclab{depth}").astype(float)
    if depth == 16:
        lab[..., 0] *= 65535 / 65280
    planes = np.moveaxis(lab.round(), -1, 0).astype({8: "u1", 16: ">u2"}[depth])
    assert_like(shown(psd("lab", planes, depth=depth), tmp_path), RGB, 6)


def test_profile_and_resolution_are_read(tmp_path):
    resources = {1005: struct.pack(">IHHIHH", 300 << 16, 1, 1, 300 << 16, 1, 1), 1039: grey_profile()}
    data = psd("grey", stored(GREY, 16), depth=16, resources=resources)
    found = shown(data, tmp_path, color="keep")
    assert_like(found, GREY, 4)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["icc_profile"][16:20] == b"GRAY"
        assert image.info["dpi"] == (300, 300)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kept", [0.01, 0.3, 0.7, 0.99])
def test_a_file_that_is_cut_is_refused(kept, packed, tmp_path):
    data = psd("rgb", stored(RGB, 16), depth=16, packed=packed)
    with pytest.raises(Undecodable, match=r"PSD: .*end"):
        shown(data[: int(len(data) * kept)], tmp_path)


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("wide", [False, True], ids=["PSD", "PSB"])
def test_a_file_that_is_cut_within_the_sizes_of_its_rows_is_refused(wide, cut, tmp_path):
    data = psd("grey", stored(GREY, 8), packed=True, wide=wide)
    rows = sum(len(imagecodecs.packbits_encode(row.tobytes())) for row in GREY)
    with pytest.raises(Undecodable, match="the file ends within the sizes of its rows"):
        shown(data[: -rows - cut], tmp_path)


def test_a_row_of_too_many_bytes_is_refused_before_it_is_read():
    size = 2**22
    start = len(psd("grey", stored(GREY, 8), packed=False, wide=True)) - GREY.size
    head = bytearray(psd("grey", stored(GREY, 8), packed=True, wide=True))
    head[start : start + 4] = struct.pack(">I", size)
    reads = []

    class Master(MasterReader):
        def read(self, size=-1, /):
            reads.append(size)
            return super().read(size)

    with pytest.raises(CannotRead, match=f"row 0 of {WIDTH} bytes takes {size} when compressed"):
        load(Master(io.BytesIO(bytes(head) + bytes(size))), lambda *_: None)
    assert max(reads) < size


@pytest.mark.parametrize("row", [b"\x81x" * 100, b"\x7fab"], ids=["more samples than it has", "cut"])
def test_a_row_that_cannot_be_unpacked_is_refused(row, tmp_path):
    data = psd("grey", stored(GREY, 8)[:, :1], packed=True)
    start = len(psd("grey", stored(GREY, 8)[:, :1])) - WIDTH
    with pytest.raises(Undecodable, match=r"row 0.*IMCD_(OUTPUT_TOO_SMALL|INPUT_CORRUPT)"):
        shown(data[:start] + struct.pack(">H", len(row)) + row, tmp_path)


def test_a_row_that_is_too_short_is_refused(tmp_path):
    data = psd("rgb", stored(RGB, 8), packed=True)
    size = len(imagecodecs.packbits_encode(RGB[-1, :, 2].tobytes()))
    damaged = data[:-size] + b"\x80" * size  # bytes that stand for nothing
    with pytest.raises(Undecodable, match=r"row 74 holds \d+ bytes of 101"):
        shown(damaged, tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "multichannel"}, "its colour mode is multichannel; bitmap, grey, .* can be shown"),
        ({"depth": 12}, "12 bits a channel do not go with its colour mode"),
    ],
)
def test_a_kind_that_cannot_be_shown_is_refused_with_its_reason(changes, reason, tmp_path):
    given: dict[str, Any] = {"mode": "rgb", "planes": stored(RGB, 8), **changes}
    with pytest.raises(Undecodable, match=reason):
        shown(psd(**given), tmp_path)


def test_there_is_one_page():
    with pytest.raises(BadRecipe, match="page 2"):
        convert(io.BytesIO(psd("grey", stored(GREY, 8))), None, ConversionContext(page=2))  # type: ignore[arg-type]
