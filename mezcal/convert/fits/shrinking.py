"""A plane of any size to a small picture, block by block, exactly as if it had been whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mezcal.convert.fits.planes import BLOCK, Held, Whole
from mezcal.convert.fits.tiles import Tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.fits.planes import Pixels, Plane
    from mezcal.convert.fits.turning import Turn

Size = tuple[int, int]

HELD_BLOCK = 64  # rows at a time of pixels in memory: what is worked on stays in the processor's cache


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
    return max(min(math.floor(side), math.ceil(side), key=miss), 1)


def factors(size: Size, final: Size, gap: float = 2.0) -> Size:
    """By how much boxes of pixels may be averaged before resampling, which then still sees *gap* pixels for one."""
    return max(1, int(size[0] / final[0] / gap)), max(1, int(size[1] / final[1] / gap))


def shrunk(plane: Plane, turn: Turn, by: Size, draw: Callable[[Pixels], Pixels], mode: str) -> Image.Image:
    """*plane*, each block drawn and turned, averaged in boxes of *by* columns and rows of the picture.

    *mode* is `L` for a *draw* that gives 8-bit levels, `F` for one that gives float32, where NaN is left out.
    """
    width, height = turn.size(plane.shape)
    whole = Image.new(mode, (math.ceil(width / by[0]), math.ceil(height / by[1])))
    box = by[0] if turn.transpose else by[1]
    rows = plane.shape[0]
    step = max(1, (HELD_BLOCK if isinstance(plane, Held | Whole | Tiles) else BLOCK) // box) * box
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        source = (rows - stop, rows - start) if turn.backwards else (start, stop)
        block = turn.apply(draw(plane.rows(*source)))
        small = _averaged(np.ascontiguousarray(block), by)
        whole.paste(small, (start // box, 0) if turn.transpose else (0, start // box))
    return whole


def _averaged(block: Pixels, by: Size) -> Image.Image:
    small = Image.fromarray(block).reduce(by) if by != (1, 1) else Image.fromarray(block)
    if small.mode != "F" or np.isfinite(np.asarray(small)).all():
        return small
    known = np.isfinite(block)
    values = Image.fromarray(np.where(known, block, np.float32(0))).reduce(by)
    weights = np.asarray(Image.fromarray(known.astype(np.float32)).reduce(by))
    with np.errstate(all="ignore"):
        return Image.fromarray(np.where(weights > 0, np.asarray(values) / weights, np.float32(np.nan)))


def finished(small: Image.Image, size: Size, by: Size, final: Size, method: Image.Resampling) -> Image.Image:
    """*small* at its *final* size; *size* is what it had before it was averaged by *by*."""
    if small.size == final:
        return small
    return small.resize(final, method, box=(0, 0, size[0] / by[0], size[1] / by[1]))
