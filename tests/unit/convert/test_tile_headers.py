"""A strip or tile that is a whole picture may not be larger than the TIFF declares."""

from __future__ import annotations

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from mezcal.convert import ConversionContext, convert
from mezcal.convert.tiff import tile_headers
from mezcal.errors import Undecodable

PIXELS = np.arange(160 * 96 * 3, dtype="u4").reshape(96, 160, 3).astype("u1")
ENCODED: dict[str, tuple[int, dict[str, Any]]] = {
    "jpeg8": (7, {}),
    "jpeg2k": (34712, {}),
    "png": (34933, {}),
    "webp": (50001, {"lossless": True}),
    "jpegxl": (50002, {}),
    "jpegxr": (34934, {}),
    "lerc": (34887, {}),
}
SIZES = [(160, 96), (96, 96), (33, 17), (160, 90), (128, 64), (7, 5), (120, 90)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("codec", ENCODED)
def test_the_size_in_the_header_is_read(codec, size):
    compression, options = ENCODED[codec]
    pixels = np.ascontiguousarray(PIXELS[: size[1], : size[0]])
    assert (
        tile_headers.declared_size(compression, getattr(imagecodecs, f"{codec}_encode")(pixels, **options))[:2] == size
    )


@pytest.mark.parametrize("options", [{"lossless": False, "level": 80}, {"lossless": True}], ids=["lossy", "lossless"])
def test_both_kinds_of_webp_are_understood(options):
    assert tile_headers.declared_size(50001, imagecodecs.webp_encode(PIXELS, **options))[:2] == (160, 96)


def test_jpeg_xl_in_its_container_is_understood():
    data = imagecodecs.jpegxl_encode(PIXELS, usecontainer=True)
    assert data[4:8] == b"JXL "
    assert tile_headers.declared_size(50002, data)[:2] == (160, 96)


@pytest.mark.parametrize("codec", ENCODED)
def test_a_header_that_is_cut_off_gives_no_size(codec):
    compression, options = ENCODED[codec]
    data = getattr(imagecodecs, f"{codec}_encode")(PIXELS, **options)
    sizes = {tile_headers.declared_size(compression, data[:length]) for length in range(200)}
    assert {size and size[:2] for size in sizes} <= {None, (160, 96)}


@pytest.mark.parametrize("codec", ["jpeg2k", "png", "webp", "jpegxl", "jpegxr", "lerc"])
def test_a_tile_larger_than_its_place_is_refused_before_it_is_decoded(codec, tmp_path):
    compression, options = ENCODED[codec]
    tile = getattr(imagecodecs, f"{codec}_encode")(PIXELS, **options)
    file = io.BytesIO()
    tifffile.imwrite(
        file, iter([tile]), shape=(48, 64, 3), dtype="u1", photometric="rgb", tile=(48, 64), compression=compression,
        metadata=None,
    )  # fmt: skip
    with pytest.raises(Undecodable, match="claims 160 x 96"):
        convert(file, tmp_path / "out.jpg", ConversionContext())
