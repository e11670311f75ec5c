"""Reasons of refusals are for people: no addresses of objects, no name of a library alone, and what can be done."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from mezcal.convert import ConversionContext, convert
from mezcal.convert.engines.decoded import reported
from mezcal.errors import Undecodable
from tests.support.masters import with_tags

PIXELS = np.random.default_rng(3).integers(0, 255, (60, 70, 3), "u1")
ADVICE = r"(compare it with the original, and copy or save it again|Save the master in another form: .*)\."


def tiff(**options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, PIXELS, photometric="rgb", metadata=None, **options)
    return file.getvalue()


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


REFUSED = {
    "TIFF, cut": cut(tiff()),
    "TIFF, LZW, damaged": with_tags(tiff(compression="lzw"), {259: (3, (8,))}),
    "TIFF, Zstandard, damaged": with_tags(tiff(compression="lzw"), {259: (3, (50000,))}),
    "TIFF, unknown compression": with_tags(tiff(), {259: (3, (9999,))}),
    "TIFF, sensor data": with_tags(tiff(), {262: (3, (32803,))}),
    "TIFF, LAB of 4 bits": with_tags(tiff(), {262: (3, (8,)), 258: (3, (4, 4, 4))}),
    "JPEG, cut": cut(saved("JPEG")),
    "PNG, cut": cut(saved("PNG")),
    "PNG, no header": saved("PNG")[:20],
    "WebP, cut": cut(saved("WEBP")),
    "GIF, cut": saved("GIF")[:30],
    "BMP, cut": saved("BMP")[:20],
    "HEIF, nothing else": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40),
    "PNM, no size": b"P6\nwide high\n255\n",
    "QOI, cut": b"qoif\0\0",
    "SGI, cut": b"\x01\xda\0\1" + bytes(8),
    "PSD, cut": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 60, 70, 8, 3),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_reason_says_who_found_what_and_what_to_do(kind, tmp_path):
    with pytest.raises(Undecodable) as caught:
        convert(io.BytesIO(REFUSED[kind]), tmp_path / "out.jpg", ConversionContext())
    reason = caught.value.detail
    assert reason.startswith(kind.split(",")[0] + ": ")
    assert not re.search(r"0x[0-9a-f]{4}|mezcal\.|MasterReader|object at", reason), reason
    assert re.search(ADVICE, reason), reason
    bare = re.sub(r'reports "[^"]*', "", reason)
    assert not re.search(r"Vips|tiff2vips|Error\b|Exception", bare), reason


def test_a_refused_kind_is_described(tmp_path):
    with pytest.raises(Undecodable, match=r"compression 9999, photometric interpretation 2, 3 samples of 8 bits"):
        convert(io.BytesIO(REFUSED["TIFF, unknown compression"]), tmp_path / "out.jpg", ConversionContext())


def test_addresses_of_objects_are_left_out():
    words = "cannot identify image file <mezcal.convert.master_reader.MasterReader object at 0x7f9e3bbf0160>"
    assert reported("Pillow", words) == 'Pillow reports "cannot identify image file the file"'
