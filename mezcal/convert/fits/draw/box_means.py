"""Boxes of pixels to their means, in float32. NaN and infinities are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels


def box_means(block: Pixels, box: tuple[int, int]) -> Pixels:
    """Returns *block* with each *box* of columns and rows as one pixel. Boxes at its end may be smaller.

    NaN and infinities do not count. A box without any number is NaN.
    """
    with np.errstate(all="ignore"):
        means = _means(block, box)
        if box == (1, 1) or np.isfinite(means).all():
            return means
        known = np.isfinite(block)
        weights = _means(known, box)
        means = _means(np.where(known, block, 0), box) / weights
        return np.where(weights > 0, means, np.float32(np.nan))


def _means(block: Pixels, box: tuple[int, int]) -> Pixels:
    """Average rows first: they are contiguous in memory, and leave fewer pixels for the columns."""
    across, down = box
    return _along_rows(_along_rows(block, down).T, across).T


def _along_rows(block: Pixels, box: int) -> Pixels:
    if box == 1:
        return block.astype(np.float32, copy=False)
    total = block[::box].astype(np.float32)
    for offset in range(1, box):
        part = block[offset::box]
        np.add(total[: len(part)], part, out=total[: len(part)], dtype=np.float32, casting="unsafe")
    rest = len(block) % box
    total[: len(block) // box] *= np.float32(1 / box)
    if rest:
        total[-1] *= np.float32(1 / rest)
    return total
