"""Lettering in the manner of a book hand: lower-case strokes drawn with a broad nib held at 40 degrees."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import cos, radians, sin
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.draw_samples.canvas import Canvas, Ink

Stroke: TypeAlias = tuple[tuple[float, float], ...]

NIB = 0.23  # of the x-height
HOLD = radians(40)
BETWEEN = 0.4  # from letter to letter, in x-heights
SPACE = 0.52


# Per letter its width, then its strokes, in hundredths of the x-height; y is 0 on the base line.
LETTERS = """
a 42 : 4,82 20,96 40,80 40,18 52,5 / 40,58 2,40 2,18 16,4 40,22
b 42 : -8,162 0,150 0,18 / 0,76 20,95 42,78 42,22 22,3 0,20
c 30 : 36,84 20,96 0,80 / 0,80 0,20 17,3 36,16
d 42 : 2,150 16,140 42,95 42,22 24,3 0,20 0,78 20,95 40,86
e 32 : 2,42 38,66 36,82 20,96 0,80 0,20 17,3 36,16
f 24 : 36,150 20,160 4,142 4,10 / -14,90 32,90
g 42 : 42,86 20,96 0,80 0,26 16,10 42,28 / 32,98 42,86 42,-20 22,-44 -6,-30
h 42 : -8,162 0,150 0,10 / 0,76 22,95 42,78 42,10 30,-16
i 0 : -11,94 0,82 0,18 12,4 / -2,128 10,140
l 2 : -8,162 0,150 0,18 12,4
m 84 : -11,94 0,82 0,18 12,4 / 31,94 42,82 42,18 54,4 / 73,94 84,82 84,18 96,4
n 42 : -11,94 0,82 0,18 12,4 / 31,94 42,82 42,18 54,4
o 42 : 20,96 0,80 0,20 22,3 42,20 42,80 20,96
p 42 : -11,94 0,82 0,-52 / 0,76 20,95 42,78 42,22 22,3 0,20
q 42 : 42,84 20,96 0,80 0,20 17,3 42,22 / 42,90 42,-52
r 24 : -11,94 0,82 0,18 12,4 / 2,76 18,95 32,84
s 34 : 36,86 20,96 2,80 4,62 34,38 36,18 18,3 -2,14
t 24 : 4,120 4,18 17,4 30,14 / -14,92 30,92
u 42 : 0,80 0,20 17,3 40,20 / 32,94 42,82 42,18 54,5 / -10,94 0,80
v 42 : -8,116 0,96 0,20 20,3 42,22 42,78 20,95
x 30 : -8,94 8,80 20,20 34,5 / 36,90 -6,2 / 0,50 28,50
. 0 : -4,14 6,4
"""


@cache
def _letters() -> dict[str, tuple[float, tuple[Stroke, ...]]]:
    """The table above as figures."""
    found = {}
    for line in LETTERS.strip().splitlines():
        head, strokes = line.split(":")
        letter, breadth = head.split()
        found[letter] = int(breadth) / 100, tuple(_stroke(stroke) for stroke in strokes.split("/"))
    return found


def _stroke(text: str) -> Stroke:
    pairs = (point.split(",") for point in text.split())
    return tuple((int(x) / 100, int(y) / 100) for x, y in pairs)


def width(text: str) -> float:
    """How wide *text* gets, in x-heights."""
    return sum(SPACE if char == " " else _letters()[char][0] + BETWEEN for char in text)


def write(canvas: Canvas, text: str, place: tuple[float, float], height: float, ink: Ink | int) -> None:
    """Write *text* from *place* on the base line, its x-height *height* pixels."""
    x, y = place
    for char in text:
        if char != " ":
            for stroke in _letters()[char][1]:
                sweep(canvas, [(x + px * height, y - py * height) for px, py in stroke], NIB * height, ink)
        x += height * width(char)


def sweep(canvas: Canvas, points: Sequence[tuple[float, float]], nib: float, ink: Ink | int) -> None:
    """Sweep the nib along *points*: a parallelogram for each piece, and a hairline for its thinnest."""
    dx, dy = nib / 2 * cos(HOLD), -nib / 2 * sin(HOLD)
    for (ax, ay), (bx, by) in pairwise(points):
        canvas.polygon([(ax - dx, ay - dy), (ax + dx, ay + dy), (bx + dx, by + dy), (bx - dx, by - dy)], ink)
        canvas.line([(ax, ay), (bx, by)], ink, nib * 0.2)
