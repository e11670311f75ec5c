"""Pyramids that tests make and read back."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from mezcal.convert import ConversionContext, ConversionOptions, convert

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[Any]

LOSSLESS = {"format": "pyramid", "compression": "deflate"}


def photo(width: int, height: int, bands: int = 3, dtype: str = "u1") -> Pixels:
    """Returns slopes with noise, height x width x bands: a row, column or sample out of place shows."""
    rows, columns = np.mgrid[:height, :width]
    slopes = np.stack([rows * (band + 1) / 7 + columns * (3 - band) / 5 for band in range(bands)], -1) % 236
    noisy = slopes + np.random.default_rng(7).integers(0, 20, slopes.shape)
    return (noisy * (257 if dtype == "u2" else 1)).astype(dtype)


def master(pixels: Pixels, **tags: Any) -> io.BytesIO:
    """Returns a TIFF of *pixels*."""
    file = io.BytesIO()
    photometric = "rgb" if pixels.ndim == 3 and pixels.shape[2] >= 3 else "minisblack"
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    tifffile.imwrite(file, flat, **{"photometric": photometric, "rowsperstrip": 16, "metadata": None, **tags})
    return file


def made(source: io.BytesIO, folder: Path, page: int | None = None, **options: Any) -> Path:
    """Returns the file that *source* is converted to."""
    target = folder / "out"
    picture = convert(source, target, ConversionContext(ConversionOptions(**options), page, folder))
    if options.get("format") == "pyramid":
        assert (picture.height, picture.width) == levels(target)[0].shape[:2]
    return target


def levels(path: Path) -> list[Pixels]:
    """Returns the pixels of each level, height x width x bands, as tifffile reads them."""
    with tifffile.TiffFile(path) as file:
        arrays = [page.asarray() for page in file.pages]
    return [array[..., None] if array.ndim == 2 else array for array in arrays]


def mean_of_four(pixels: Pixels) -> Pixels:
    """Returns the mean of each 2 x 2 pixels, rounded half up. At an odd edge, of the pixels that there are."""
    padded = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge").astype(int)
    return (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2] + 2) >> 2
