"""Shrinks a plane of any size block by block, and resamples the result to its final size.

The pixels are the same as if the whole plane had been shrunk at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from mezcal.convert.fits.draw.box_means import box_means
from mezcal.convert.fits.read.planes import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.convert.fits.draw.north_up import Orientation
    from mezcal.convert.fits.read.planes import Pixels, Plane

Size = tuple[int, int]

TALL = 1.5  # times the width: Pillow 13 resamples the columns first from 1.95 on; older versions never do
BAND = 128  # rows of the final picture that are resampled at a time


class ScaledPlane(NamedTuple):
    """A plane at its final size: width and height, and its rows in bands from the top."""

    size: Size
    bands: Iterator[Pixels]


def fit_inside(size: Size, box: Size) -> Size:
    """Returns the size of a picture of *size* inside *box*, as Pillow's `thumbnail` does: never enlarged, never 0."""
    width, height = size
    across, down = box
    if across >= width and down >= height:
        return size
    aspect = width / height
    if across / down >= aspect:
        return _nearest(down * aspect, lambda side: abs(aspect - side / down)), down
    return across, _nearest(across / aspect, lambda side: abs(aspect - across / side) if side else 0)


def _nearest(side: float, deviation: Callable[[int], float]) -> int:
    """Returns the whole number next to *side* with the smallest *deviation*; never 0."""
    return max(min(math.floor(side), math.ceil(side), key=deviation), 1)


def box_size(size: Size, final: Size, gap: float = 2.0) -> Size:
    """Returns the boxes of pixels that may be averaged so that *gap* pixels are left for each of the *final* size."""
    return max(1, int(size[0] / final[0] / gap)), max(1, int(size[1] / final[1] / gap))


def shrink_levels(plane: Plane, orientation: Orientation, box: Size, levels: Callable[[Pixels], Pixels]) -> Pixels:
    """Returns the 8-bit *levels* of *plane*, averaged in boxes of *box* columns and rows of the picture."""

    def shrink(block: Pixels) -> Pixels:
        block = orientation.apply(levels(block))
        return block if box == (1, 1) else np.asarray(Image.fromarray(np.ascontiguousarray(block)).reduce(box))

    return _shrink(np.uint8, plane, orientation, box, shrink)


def shrink_means(plane: Plane, orientation: Orientation, box: Size) -> Pixels:
    """Returns *plane* as float32, averaged in boxes of *box* columns and rows of the picture. NaN is left out."""

    def shrink(block: Pixels) -> Pixels:
        block = orientation.apply(block)
        return box_means(block.T, box[::-1]).T if orientation.transpose else box_means(block, box)

    return _shrink(np.float32, plane, orientation, box, shrink)


def _shrink(
    dtype: type, plane: Plane, orientation: Orientation, box: Size, shrink: Callable[[Pixels], Pixels]
) -> Pixels:
    """Returns the blocks of *plane* after *shrink*, as rows and columns of the picture.

    The result is an array of numpy's, which asks for large pages of memory. To use Pillow's memory for the first time
    costs as much as a third of the decoding.
    """
    width, height = orientation.picture_size(plane.shape)
    small: Pixels = np.empty((math.ceil(height / box[1]), math.ceil(width / box[0])), dtype)
    along = small.T if orientation.transpose else small
    step = box[0] if orientation.transpose else box[1]
    rows = plane.shape[0]
    for start, stop in blocks(rows, plane.block_height(step)):
        block = plane.rows(*((rows - stop, rows - start) if orientation.last_row_first else (start, stop)))
        shrunk = shrink(block)
        along[start // step : math.ceil(stop / step)] = shrunk.T if orientation.transpose else shrunk
    return small


def resample(
    small: Pixels, part: tuple[float, float], final: Size, method: Image.Resampling = Image.Resampling.HAMMING
) -> ScaledPlane:
    """Returns the *part* of *small*, its width and height from the upper left corner, at its *final* size.

    *small* is float32. Light adds up linearly, and without negative lobes no star gets a dark ring.
    """
    return ScaledPlane(final, iter([small]) if small.shape == final[::-1] else _bands(small, part, final, method))


def _bands(small: Pixels, part: tuple[float, float], final: Size, method: Image.Resampling) -> Iterator[Pixels]:
    """Yields the rows of the final picture, `BAND` at a time, each from the rows that its window needs."""
    step = part[1] / final[1]
    reach = math.ceil(max(1, step)) + 1  # rows beyond the band that are needed, and one more for rounding
    for top, bottom in blocks(final[1], BAND):
        begin, end = top * step, min(bottom * step, part[1])
        first = max(0, int(begin) - reach)
        window = Image.fromarray(small[first : math.ceil(end) + reach])
        box = (0, begin - first, part[0], end - first)
        yield np.asarray(window.resize((final[0], bottom - top), method, box=box))


def resize_levels(small: Pixels, part: tuple[float, float], final: Size) -> Pixels:
    """Returns the *part* of *small* at its *final* size, with the levels of Pillow's LANCZOS.

    *small* are 8-bit levels. Pillow resamples the rows first, except in pictures about twice as high as wide.
    """
    if small.shape == final[::-1]:
        return small
    if small.shape[0] > TALL * small.shape[1]:
        return np.asarray(Image.fromarray(small).resize(final, Image.Resampling.LANCZOS, box=(0, 0, *part)))
    wide = _resize_in_fours(small, 0, (part[0], final[0]))
    return _resize_in_fours(wide, 1, (part[1], final[1]))


def _resize_in_fours(small: Pixels, axis: int, scale: tuple[float, int]) -> Pixels:
    """Returns each row (*axis* 0) or column (1) of *small* in another *scale*: how many pixels become how many.

    Each quarter of the rows or columns is a band of one picture: Pillow takes two thirds of the time for it.
    """
    count, (length, final) = small.shape[axis], scale
    quarter = math.ceil(count / 4)
    parts = [slice(start, start + quarter) for start in (number * (count - quarter) // 3 for number in range(4))]
    places = [(part, slice(None)) if axis == 0 else (slice(None), part) for part in parts]  # they may overlap
    fours = Image.merge("CMYK", [Image.fromarray(small[place]) for place in places])
    size, box = ((final, quarter), (length, quarter)) if axis == 0 else ((quarter, final), (quarter, length))
    resized = fours.resize(size, Image.Resampling.LANCZOS, box=(0, 0, *box))
    whole = np.empty((count, final) if axis == 0 else (final, count), np.uint8)
    for place, band in zip(places, resized.split(), strict=True):
        whole[place] = np.asarray(band)
    return whole
