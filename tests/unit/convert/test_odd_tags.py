"""Tags that writers leave out, misuse or get wrong: the right picture all the same, or a refusal with its reason."""

from __future__ import annotations

import contextlib
import io
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from mezcal.convert.master_reader import MasterReader, PatchedReader
from mezcal.errors import TooLarge, Undecodable
from tests.support.masters import with_tags
from tests.unit.convert.test_modes import ALPHA, GREY, HEIGHT, RGB, TILE, WIDTH, assert_like, converted, over_white


def written(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, software=False, **options)
    return file.getvalue()


def shown(data: bytes, tmp_path: Any) -> np.ndarray:
    (tmp_path / "in.tif").write_bytes(data)
    return converted(tmp_path / "in.tif", tmp_path)


@pytest.mark.parametrize("compression", ["group3", "group4", "packbits", "tiff_lzw", "raw"])
def test_separate_planes_of_a_bilevel_scan_are_read(compression, tmp_path):
    bilevel = Image.fromarray(GREY).convert("1")
    file = io.BytesIO()
    bilevel.save(file, "TIFF", compression=compression)
    assert_like(shown(with_tags(file.getvalue(), {284: (3, (2,))}), tmp_path), np.asarray(bilevel.convert("L")), 14)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd"])
def test_tiles_may_be_listed_as_strips(compression, tmp_path):
    data = written(RGB, photometric="rgb", tile=TILE, compression=compression)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].tags
        offsets, counts = tags[324].value, tags[325].value
    moved = with_tags(data, {324: None, 325: None, 273: (4, offsets), 279: (4, counts)})
    assert_like(shown(moved, tmp_path), RGB)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits"])
def test_a_single_strip_of_size_0_ends_with_the_file(compression, tmp_path):
    data = with_tags(written(RGB, photometric="rgb", compression=compression, rowsperstrip=HEIGHT), {279: (4, (0,))})
    assert_like(shown(data, tmp_path), RGB)


def test_one_of_several_strips_of_size_0_is_refused(tmp_path):
    data = written(RGB, photometric="rgb", compression="lzw", rowsperstrip=25)
    with pytest.raises(Undecodable, match="strip or tile 1 is empty"):
        shown(with_tags(data, {279: (4, (900, 0, 900))}), tmp_path)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd"])
@pytest.mark.parametrize("tile", [None, TILE], ids=["strips", "tiles"])
def test_a_fourth_sample_of_rgb_without_extra_samples_is_alpha(tile, compression, tmp_path):
    data = written(np.dstack([RGB, ALPHA]), photometric="rgb", compression=compression, tile=tile)
    assert_like(shown(with_tags(data, {338: None}), tmp_path), over_white(RGB))


@pytest.mark.parametrize("colours", [1, 16, 255, 257])
@pytest.mark.parametrize("compression", [None, "lzw", "zstd"])
def test_a_palette_of_another_size_than_its_numbers_is_refused(compression, colours, tmp_path):
    data = written(GREY // 64, photometric="minisblack", compression=compression)
    data = with_tags(data, {262: (3, (3,)), 320: (3, (9000,) * 3 * colours)})
    with pytest.raises(Undecodable, match=f"its palette has {3 * colours} values.*768"):
        shown(data, tmp_path)


def test_a_palette_that_is_missing_is_refused(tmp_path):
    with pytest.raises(Undecodable, match="its palette has 0 values"):
        shown(with_tags(written(GREY, photometric="minisblack"), {262: (3, (3,))}), tmp_path)


@pytest.mark.parametrize("planes", [False, True], ids=["side by side", "planes"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_rgb_of_few_bits_is_scaled_by_its_white(bits, planes, tmp_path):
    levels = (RGB / 255 * (2**bits - 1)).round().astype("u1")
    samples = np.moveaxis(levels, -1, 0) if planes else levels.reshape(1, HEIGHT, -1)
    shifts = np.arange(bits - 1, -1, -1)
    packed = [np.packbits((plane[..., None] >> shifts & 1).reshape(HEIGHT, -1), axis=1).tobytes() for plane in samples]
    strip = (WIDTH * bits + 7) // 8 * HEIGHT if planes else len(packed[0])
    data = written(RGB, photometric="rgb", rowsperstrip=HEIGHT)
    offsets = tuple(len(data) + strip * number for number in range(len(packed)))
    tags = {258: (3, (bits,) * 3), 284: (3, (2 if planes else 1,)), 278: (4, (HEIGHT,))}
    tags |= {273: (4, offsets), 279: (4, (strip,) * len(packed))}
    assert_like(
        shown(with_tags(data + b"".join(packed), tags), tmp_path), levels / (2**bits - 1) * 255, 25 if bits == 1 else 8
    )


@pytest.mark.parametrize("compression", [None, "jpeg"])
def test_inks_in_planes_are_read(compression, tmp_path):
    inks = np.asarray(Image.fromarray(RGB).convert("CMYK"))
    wanted = shown(written(inks, photometric="separated"), tmp_path)
    planes = written(
        np.moveaxis(inks, -1, 0), photometric="separated", planarconfig="separate", compression=compression,
        compressionargs={"level": 95} if compression else None,
    )  # fmt: skip
    assert_like(shown(planes, tmp_path), wanted)


def test_the_gamma_of_a_png_is_ignored(tmp_path):
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")
    plain = file.getvalue()
    body = b"gAMA" + (100_000).to_bytes(4)
    chunk = (4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    assert_like(shown(plain[:33] + chunk + plain[33:], tmp_path), RGB)


ELEVATIONS = GREY.astype("f4") * 10 - 300
RANGE = ELEVATIONS.min(), ELEVATIONS.max()
STRETCHED = (ELEVATIONS - RANGE[0]) / (RANGE[1] - RANGE[0]) * 255


@pytest.mark.parametrize("scheme", [{}, {"compression": "lzw"}, {"compression": "zstd"}], ids=["plain", "lzw", "zstd"])
@pytest.mark.parametrize("named", [False, True], ids=["not named", "named"])
@pytest.mark.parametrize("value", [-9999.0, -32768.0, -3.4028235e38, 1.70141e38, 1e38])
def test_values_for_no_data_are_left_out_of_the_range(value, named, scheme, tmp_path):
    pixels = ELEVATIONS.copy()
    pixels[:4] = value
    data = written(pixels, photometric="minisblack", **scheme)
    if named:
        data = with_tags(data, {42113: (2, tuple(f"{value}".encode() + b"\0"))})
    assert_like(shown(data, tmp_path)[8:], STRETCHED[8:])


@pytest.mark.parametrize("value", [0, 7777, -5])
def test_the_value_that_the_file_names_is_left_out_whatever_it_is(value, tmp_path):
    pixels = ELEVATIONS.astype("i4") + 1000
    pixels[:4] = value
    data = written(pixels, photometric="minisblack")
    data = with_tags(data, {42113: (2, tuple(f"{value}".encode() + b"\0"))})
    assert_like(shown(data, tmp_path)[8:], STRETCHED[8:])


def test_a_usual_value_for_no_data_counts_where_it_belongs_to_the_picture(tmp_path):
    ramp = np.broadcast_to(np.linspace(-32768, 32767, WIDTH), (HEIGHT, WIDTH)).round().astype("i2")
    wanted = (ramp.astype(float) + 32768) / 65535 * 255
    assert_like(shown(written(ramp, photometric="minisblack"), tmp_path), wanted)


def test_a_picture_of_no_data_alone_is_one_tone(tmp_path):
    data = written(np.full((HEIGHT, WIDTH), -9999, "f4"), photometric="minisblack")
    found = shown(with_tags(data, {42113: (2, tuple(b"-9999\0"))}), tmp_path)
    assert len(np.unique(found)) == 1


def test_a_name_of_no_data_that_is_no_number_is_ignored(tmp_path):
    data = written(ELEVATIONS, photometric="minisblack")
    assert_like(shown(with_tags(data, {42113: (2, tuple(b"none\0"))}), tmp_path), STRETCHED)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("position", [0, 5, 18, 20])
def test_a_patched_master_reads_as_if_it_were_written_so(position, size):
    content = bytes(range(20))
    wanted = content[:position] + b"\xaa\xbb" + content[position + 2 :]
    reader = PatchedReader(MasterReader(io.BytesIO(content)), position, b"\xaa\xbb")
    pieces = iter(lambda: reader.read(size), b"")
    assert b"".join(pieces) == wanted
    assert reader.seek(-1, 2) == len(wanted) - 1
    assert reader.read(9) == wanted[-1:]


def test_a_patched_master_has_no_descriptor_of_the_unpatched_file(tmp_path):
    (tmp_path / "master").write_bytes(bytes(20))
    with (tmp_path / "master").open("rb") as file:
        reader = PatchedReader(MasterReader(file), 5, b"\xaa")
        with pytest.raises(OSError, match="fileno"):
            reader.fileno()
        assert reader.reopen_path is None


@pytest.mark.parametrize("samples", [3, 4])
def test_lab_with_fewer_samples_than_it_declares_is_refused(samples, tmp_path):
    data = with_tags(
        written(GREY, photometric="minisblack", compression="lerc"), {262: (3, (8,)), 277: (3, (samples,))}
    )
    with pytest.raises(Undecodable):
        shown(data, tmp_path)


def test_a_strip_larger_than_any_number_is_refused(tmp_path):
    huge = {256: (4, (2**31 - 1,)), 257: (4, (2**31 - 1,)), 278: (4, (2**31 - 1,)), 258: (3, (64,))}
    (tmp_path / "in.tif").write_bytes(with_tags(written(GREY, photometric="minisblack"), huge))
    with pytest.raises(Undecodable, match="beyond the file's end"):
        converted(tmp_path / "in.tif", tmp_path, max_pixels=None, oversize="scale")


def test_a_negative_number_of_bits_is_refused(tmp_path):
    with pytest.raises(Undecodable):
        shown(with_tags(written(GREY, photometric="minisblack"), {258: (6, (-8,))}), tmp_path)


@pytest.mark.parametrize("value", [np.inf, np.nan, -1e300, -1.0], ids=str)
@pytest.mark.parametrize("tag", [254, 256, 258, 259, 262, 273, 274, 277, 278, 282, 284, 296, 322, 330, 338, 339, 530])
def test_floats_for_whole_numbers_are_read_or_refused(tag, value, tmp_path):
    data = written(np.dstack([RGB, ALPHA]), photometric="rgb", extrasamples=["unassalpha"])
    with contextlib.suppress(Undecodable, TooLarge):
        shown(with_tags(data, {tag: (12, (value,) * (2 if tag == 530 else 1))}), tmp_path)


@pytest.mark.parametrize("tag", [258, 277, 338, 339])
@pytest.mark.parametrize(("kind", "value"), [(11, np.inf), (11, 1.5), (12, np.nan), (12, -1e300)])
def test_what_is_no_whole_number_is_refused_with_its_tag(tag, kind, value, tmp_path):
    data = written(np.dstack([RGB, ALPHA]), photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(Undecodable, match=f"TIFF: tag {tag} has the value .*, which is no whole number"):
        shown(with_tags(data, {tag: (kind, (value,))}), tmp_path)


@pytest.mark.parametrize("compression", [6, 7, 8])
def test_infinite_offsets_and_subsampling_are_refused(compression, tmp_path):
    data = written(RGB, photometric="rgb")
    tags = {259: (3, (compression,)), 262: (3, (6,)), 530: (12, (np.inf, 2.0)), 273: (12, (np.inf,))}
    with pytest.raises(Undecodable):
        shown(with_tags(data, tags), tmp_path)


@pytest.mark.parametrize("tag", [{258: (8, (-1,))}, {258: (3, (0,))}, {258: (3, (129,))}], ids=str)
def test_a_palette_for_no_possible_number_of_bits_is_refused(tag, tmp_path):
    data = written(GREY, photometric="minisblack")
    with pytest.raises(Undecodable, match="bits are declared"):
        shown(with_tags(data, {262: (3, (3,)), 320: (3, (0,) * 768), **tag}), tmp_path)


@pytest.mark.parametrize("samples", [-1, 0])
def test_a_pixel_of_no_samples_is_refused(samples, tmp_path):
    with pytest.raises(Undecodable, match=f"{samples} samples a pixel are declared"):
        shown(with_tags(written(GREY, photometric="minisblack"), {277: (8, (samples,))}), tmp_path)


@pytest.mark.parametrize("tag", [254, 255, 274, 282, 296])
@pytest.mark.parametrize(
    "value", [(11, (float("nan"),)), (11, (0.5,)), (12, (float("inf"),))], ids=["nan", "0.5", "inf"]
)
@pytest.mark.parametrize("compression", [None, "lzw", "zstd"])
def test_a_tag_that_cannot_be_read_is_as_if_absent_where_no_decoder_needs_it(compression, value, tag, tmp_path):
    data = written(RGB, photometric="rgb", compression=compression)
    assert_like(shown(with_tags(data, {tag: value}), tmp_path), RGB)


@pytest.mark.parametrize("tag", [256, 258, 259, 277, 284])
def test_a_tag_that_cannot_be_read_is_refused_where_the_decoder_needs_it(tag, tmp_path):
    data = with_tags(written(RGB, photometric="rgb"), {tag: (11, (float("nan"),))})
    with pytest.raises(Undecodable):
        shown(data, tmp_path)
