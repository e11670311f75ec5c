"""A plane of any size to a small picture, block by block, exactly as if it had been whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mezcal.convert.fits.averaging import averaged
from mezcal.convert.fits.planes import BLOCK, Sections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.convert.fits.planes import Pixels, Plane
    from mezcal.convert.fits.turning import Turn

Size = tuple[int, int]

SMALL_BLOCK = 64  # rows at a time where a block costs nothing to begin: it stays in the processor's cache


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


def shrunk(plane: Plane, turn: Turn, by: Size, draw: Callable[[Pixels], Pixels]) -> Image.Image:
    """*plane* as 8-bit levels, each block drawn, averaged in boxes of *by* columns and rows of the picture."""
    whole = _sheet("L", plane, turn, by)
    for place, block in _turned(plane, turn, by, draw):
        small = Image.fromarray(np.ascontiguousarray(block))
        whole.paste(small.reduce(by) if by != (1, 1) else small, place)
    return whole


def means(plane: Plane, turn: Turn, by: Size) -> Image.Image:
    """*plane* as float32, averaged in boxes of *by* columns and rows of the picture; what is no number is left out."""
    whole = _sheet("F", plane, turn, by)
    for place, block in _turned(plane, turn, by):
        small = averaged(block.T, by[::-1]).T if turn.transpose else averaged(block, by)
        whole.paste(Image.fromarray(np.ascontiguousarray(small)), place)
    return whole


def _sheet(mode: str, plane: Plane, turn: Turn, by: Size) -> Image.Image:
    """An image for all boxes of *plane*, with nothing on it yet: not even black, which would take time."""
    width, height = turn.size(plane.shape)
    return Image.new(mode, (math.ceil(width / by[0]), math.ceil(height / by[1])), None)


def _turned(
    plane: Plane, turn: Turn, by: Size, draw: Callable[[Pixels], Pixels] | None = None
) -> Iterator[tuple[Size, Pixels]]:
    """Blocks of rows as the picture has them, and where on the sheet each one's first box is."""
    box = by[0] if turn.transpose else by[1]
    rows = plane.shape[0]
    step = max(1, (BLOCK if isinstance(plane, Sections) else SMALL_BLOCK) // box) * box
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        block = plane.rows(*((rows - stop, rows - start) if turn.backwards else (start, stop)))
        place = (start // box, 0) if turn.transpose else (0, start // box)
        yield place, turn.apply(draw(block) if draw else block)


def finished(small: Image.Image, size: Size, by: Size, final: Size, method: Image.Resampling) -> Image.Image:
    """*small* at its *final* size; *size* is what it had before it was averaged by *by*."""
    if small.size == final:
        return small
    return small.resize(final, method, box=(0, 0, size[0] / by[0], size[1] / by[1]))
