"""How the pixels of a tile are coded, and the tags that say so (TIFF 6.0, Adobe's supplements, libtiff's zstd)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from mezcal.convert.pyramid import jpeg_tiles
from mezcal.convert.pyramid.directories import Field, rationals, shorts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.options import ConversionOptions

COMPRESSION, PHOTOMETRIC, PREDICTOR, EXTRA_SAMPLES = 259, 262, 317, 338
JPEG_TABLES, SUBSAMPLING, REFERENCE_BLACK_WHITE = 347, 530, 532
BLACK_IS_ZERO, RGB, YCBCR = 1, 2, 6
DIFFERENCES = 2  # predictor
UNASSOCIATED_ALPHA = 2
FULL_RANGE = (0, 255, 128, 255, 128, 255)  # the levels of JPEG's YCbCr; TIFF's own default is that of video
LOSSLESS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "deflate": (8, partial(imagecodecs.deflate_encode, level=6)),
    "zstd": (50000, partial(imagecodecs.zstd_encode, level=1)),  # 9 takes ten times as long, for no fewer bytes
    "lzw": (5, imagecodecs.lzw_encode),
}


@dataclass(frozen=True, slots=True)
class TileCoding:
    """*encode* returns the bytes of a tile, in any thread. *fields* are the tags that all levels have in common."""

    encode: Callable[[NDArray[Any]], bytes]
    fields: list[Field]


def tile_coding(options: ConversionOptions, bands: int, dtype: np.dtype[Any]) -> TileCoding:
    """Returns the coding of tiles with *bands* samples a pixel: grey or RGB, and alpha if it is kept."""
    if options.compression == "jpeg":
        return _jpeg(options, bands)
    number, compress = LOSSLESS[options.compression]
    stored = dtype.newbyteorder("<")

    def encode(pixels: NDArray[Any]) -> bytes:
        differences = imagecodecs.delta_encode(np.ascontiguousarray(pixels, stored), axis=1)
        return bytes(compress(np.ascontiguousarray(differences).data))

    fields = [
        shorts(COMPRESSION, number),
        shorts(PHOTOMETRIC, RGB if bands >= 3 else BLACK_IS_ZERO),
        shorts(PREDICTOR, DIFFERENCES),
    ]
    return TileCoding(encode, fields + ([shorts(EXTRA_SAMPLES, UNASSOCIATED_ALPHA)] if bands in (2, 4) else []))


def _jpeg(options: ConversionOptions, bands: int) -> TileCoding:
    """Returns the coding as JPEG without tables: they are the same in all tiles, and are written once."""
    grey = bands == 1
    sampling = None if grey else options.subsampling.replace(":", "")

    def coded(pixels: NDArray[Any]) -> jpeg_tiles.CodedTile:
        pixels = pixels[..., 0] if grey else pixels
        data = imagecodecs.jpeg8_encode(pixels, options.quality, subsampling=sampling, optimize=False)
        return jpeg_tiles.split(bytes(data))

    tables = coded(np.zeros((options.tile, options.tile, bands), "u1")).tables

    def encode(pixels: NDArray[Any]) -> bytes:
        tile = coded(pixels)
        if tile.tables != tables:
            raise ValueError("the encoder changed its tables in the middle of a picture")
        return tile.stream

    fields = [shorts(COMPRESSION, 7), Field(JPEG_TABLES, 7, len(tables), tables)]
    if grey:
        return TileCoding(encode, [*fields, shorts(PHOTOMETRIC, BLACK_IS_ZERO)])
    factors = (2, 2) if options.subsampling == "4:2:0" else (1, 1)
    colour = [shorts(PHOTOMETRIC, YCBCR), shorts(SUBSAMPLING, *factors), rationals(REFERENCE_BLACK_WHITE, *FULL_RANGE)]
    return TileCoding(encode, fields + colour)
