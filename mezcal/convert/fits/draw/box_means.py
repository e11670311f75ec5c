"""Boxes of pixels to their means: in float32, whatever kind the pixels are, and what is no number left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels


def averaged(block: Pixels, by: tuple[int, int]) -> Pixels:
    """*block* with each box of *by* columns and rows as one pixel; boxes at its end may be smaller.

    NaN and infinities do not count; a box without any number is NaN.
    """
    with np.errstate(all="ignore"):
        means = _means(block, by)
        if by == (1, 1) or np.isfinite(means).all():
            return means
        known = np.isfinite(block)
        weights = _means(known, by)
        means = _means(np.where(known, block, 0), by) / weights
        return np.where(weights > 0, means, np.float32(np.nan))


def _means(block: Pixels, by: tuple[int, int]) -> Pixels:
    """Rows first: they lie one behind the other in memory, and leave less for the columns."""
    across, down = by
    return _along_rows(_along_rows(block, down).T, across).T


def _along_rows(block: Pixels, by: int) -> Pixels:
    if by == 1:
        return block.astype(np.float32, copy=False)
    total = block[::by].astype(np.float32)
    for offset in range(1, by):
        part = block[offset::by]
        np.add(total[: len(part)], part, out=total[: len(part)], dtype=np.float32, casting="unsafe")
    rest = len(block) % by
    total[: len(block) // by] *= np.float32(1 / by)
    if rest:
        total[-1] *= np.float32(1 / rest)
    return total
