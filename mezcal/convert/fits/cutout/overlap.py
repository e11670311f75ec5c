"""How much of a turned rectangle is in a frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

Point = tuple[float, float]


def share_inside(corners: Pixels, shape: tuple[int, int]) -> float:
    """Returns the share of a convex polygon that is in a frame with *shape* rows and columns.

    *corners* are x and y, in the order around it. Edges of the frame's pixels are whole numbers.
    """
    whole = [(float(x), float(y)) for x, y in corners]
    inside = whole
    for axis, most in enumerate(reversed(shape)):
        inside = _cut(_cut(inside, axis, 0.0, 1), axis, float(most), -1)
    return 1.0 if inside == whole else min(1.0, _area(inside) / _area(whole))


def _cut(polygon: list[Point], axis: int, edge: float, sign: int) -> list[Point]:
    """Returns the part of *polygon* whose coordinate *axis* is above *edge*, or below it with a *sign* of -1.

    This is the algorithm of Sutherland and Hodgman.
    """
    kept: list[Point] = []
    for number, point in enumerate(polygon):
        before = polygon[number - 1]
        here, there = sign * (point[axis] - edge), sign * (before[axis] - edge)
        if here * there < 0:
            share = there / (there - here)
            kept.append((before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])))
        if here >= 0:
            kept.append(point)
    return kept


def _area(polygon: list[Point]) -> float:
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return abs(math.fsum(one[0] * other[1] - other[0] * one[1] for one, other in pairs)) / 2
