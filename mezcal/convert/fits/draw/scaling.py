"""A plane of any size to a small sheet, block by block, and the sheet to its final size: as if each had been whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from mezcal.convert.fits.draw.box_means import averaged
from mezcal.convert.fits.read.planes import BLOCK, Sections, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.convert.fits.draw.orientation import Orientation
    from mezcal.convert.fits.read.planes import Pixels, Plane

Size = tuple[int, int]

TALL = 1.5  # times the width: Pillow 13 has been seen to begin with the columns from 1.95 on; before, it never did
BAND = 128  # rows of the final picture that are resampled at a time
SMALL_BLOCK = 64  # rows at a time where a block costs nothing to begin: it stays in the processor's cache


class Final(NamedTuple):
    """A plane at its final size: width and height, and its rows in bands from the top."""

    size: Size
    bands: Iterator[Pixels]


def fitted(size: Size, box: Size) -> Size:
    """The size of a picture of *size* inside *box*, as Pillow's `thumbnail` finds it: never enlarged, never 0."""
    width, height = size
    across, down = box
    if across >= width and down >= height:
        return size
    aspect = width / height
    if across / down >= aspect:
        return _nearest(down * aspect, lambda side: abs(aspect - side / down)), down
    return across, _nearest(across / aspect, lambda side: abs(aspect - across / side) if side else 0)


def _nearest(side: float, miss: Callable[[int], float]) -> int:
    """The whole number next to *side* that misses the aspect least; never 0."""
    return max(min(math.floor(side), math.ceil(side), key=miss), 1)


def factors(size: Size, final: Size, gap: float = 2.0) -> Size:
    """By how much boxes of pixels may be averaged before resampling, which then still sees *gap* pixels for one."""
    return max(1, int(size[0] / final[0] / gap)), max(1, int(size[1] / final[1] / gap))


def shrunk(plane: Plane, turn: Orientation, by: Size, draw: Callable[[Pixels], Pixels]) -> Pixels:
    """*plane* as 8-bit levels, each block drawn, averaged in boxes of *by* columns and rows of the picture."""

    def small(block: Pixels) -> Pixels:
        block = turn.apply(draw(block))
        return block if by == (1, 1) else np.asarray(Image.fromarray(np.ascontiguousarray(block)).reduce(by))

    return _sheet(np.uint8, plane, turn, by, small)


def means(plane: Plane, turn: Orientation, by: Size) -> Pixels:
    """*plane* as float32, averaged in boxes of *by* columns and rows of the picture; what is no number is left out."""

    def small(block: Pixels) -> Pixels:
        block = turn.apply(block)
        return averaged(block.T, by[::-1]).T if turn.transpose else averaged(block, by)

    return _sheet(np.float32, plane, turn, by, small)


def _sheet(kind: type, plane: Plane, turn: Orientation, by: Size, small: Callable[[Pixels], Pixels]) -> Pixels:
    """What *small* makes of the blocks of *plane*, as rows and columns of the picture.

    The sheet is numpy's, which asks for large pages of memory: to touch Pillow's for the first time costs as much as
    a third of the decoding.
    """
    width, height = turn.size(plane.shape)
    sheet: Pixels = np.empty((math.ceil(height / by[1]), math.ceil(width / by[0])), kind)
    along = sheet.T if turn.transpose else sheet
    box = by[0] if turn.transpose else by[1]
    rows = plane.shape[0]
    for start, stop in blocks(rows, max(1, (BLOCK if isinstance(plane, Sections) else SMALL_BLOCK) // box) * box):
        done = small(plane.rows(*((rows - stop, rows - start) if turn.backwards else (start, stop))))
        along[start // box : math.ceil(stop / box)] = done.T if turn.transpose else done
    return sheet


def resampled(sheet: Pixels, part: tuple[float, float], final: Size) -> Final:
    """*sheet*, float32, of whose width and height *part* is the picture, at its *final* size.

    Light adds up linearly, and without negative lobes no star gets a dark ring.
    """
    return Final(final, iter([sheet]) if sheet.shape == final[::-1] else _bands(sheet, part, final))


def _bands(sheet: Pixels, part: tuple[float, float], final: Size) -> Iterator[Pixels]:
    """The rows of the final picture, `BAND` at a time, each from no more of *sheet* than its window sees."""
    step = part[1] / final[1]
    reach = math.ceil(max(1, step)) + 1  # rows beyond a band's that are seen, and one for what rounding may do
    for top, bottom in blocks(final[1], BAND):
        begin, end = top * step, min(bottom * step, part[1])
        first = max(0, int(begin) - reach)
        seen = Image.fromarray(sheet[first : math.ceil(end) + reach])
        box = (0, begin - first, part[0], end - first)
        yield np.asarray(seen.resize((final[0], bottom - top), Image.Resampling.HAMMING, box=box))


def resized(sheet: Pixels, part: tuple[float, float], final: Size) -> Pixels:
    """*sheet*, 8-bit levels, of whose width and height *part* is the picture, at its *final* size: to the levels of
    Pillow's LANCZOS, which takes the rows first, but for sheets that are about twice as tall as wide, or taller.
    """
    if sheet.shape == final[::-1]:
        return sheet
    if sheet.shape[0] > TALL * sheet.shape[1]:
        return np.asarray(Image.fromarray(sheet).resize(final, Image.Resampling.LANCZOS, box=(0, 0, *part)))
    wide = _in_fours(sheet, 0, (part[0], final[0]))
    return _in_fours(wide, 1, (part[1], final[1]))


def _in_fours(sheet: Pixels, axis: int, scale: tuple[float, int]) -> Pixels:
    """Each row (*axis* 0) or column (1) of *sheet* in another *scale*: how many of its pixels become how many.

    A quarter of them each are the four bands of one picture, for which Pillow takes two thirds of the time.
    """
    count, (length, final) = sheet.shape[axis], scale
    quarter = math.ceil(count / 4)
    parts = [slice(start, start + quarter) for start in (number * (count - quarter) // 3 for number in range(4))]
    places = [(part, slice(None)) if axis == 0 else (slice(None), part) for part in parts]  # they may overlap
    fours = Image.merge("CMYK", [Image.fromarray(sheet[place]) for place in places])
    size, box = ((final, quarter), (length, quarter)) if axis == 0 else ((quarter, final), (quarter, length))
    done = fours.resize(size, Image.Resampling.LANCZOS, box=(0, 0, *box))
    whole = np.empty((count, final) if axis == 0 else (final, count), np.uint8)
    for place, band in zip(places, done.split(), strict=True):
        whole[place] = np.asarray(band)
    return whole
