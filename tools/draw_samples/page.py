"""A manuscript's page: ruled lines, a text about agaves and caches, an initial, an agave at the foot."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from tools.draw_samples import pen
from tools.draw_samples.agave import Leaf, rosette
from tools.draw_samples.canvas import Canvas, Pixels

INK, PAPER = 0, 255
LEFT, RIGHT, TOP, RULE, LINES = 290, 1090, 160, 74, 14
LETTER = 34  # x-height in pixels
INITIAL = 4  # lines that the initial takes

TEXT = """gaue in deserto diu crescit et tacita. per multos annos aquam solemque in folia colligit. tum semel
altum caulem tollit floret sub luna et moritur. uespertiliones nocte ad flores eius ueniunt et pollen ferunt.
ita scriptor librum suum semel pingit quem multi legunt. nam qui imaginem semel fecit et bene seruauit non
iterum eam facit sed petenti statim dat. custos imaginum sum."""


def manuscript() -> Pixels:
    """1200 x 1600, black on white, True where there is ink."""
    canvas = Canvas(1200, 1600, PAPER, "L")
    rng = np.random.default_rng(5)
    _ruling(canvas)
    _text(canvas)
    _initial(canvas)
    _border(canvas, rng)
    _foot(canvas, rng)
    return np.asarray(canvas.pixels() < 140)


def _ruling(canvas: Canvas) -> None:
    """The scribe's lines, dotted, with the prickings that measured them at the page's edge."""
    for line in range(LINES + 1):
        y = TOP + line * RULE
        for x in range(LEFT - 40, RIGHT + 40, 7):
            canvas.line([(x, y), (x + 2, y)], INK, 1)
        canvas.disc(1162, y, 2, INK)
    for x in (LEFT - 12, RIGHT + 12):
        for y in range(70, 1530, 7):
            canvas.line([(x, y), (x, y + 2)], INK, 1)


def _text(canvas: Canvas) -> None:
    words = TEXT.split()
    for line in range(1, LINES + 1):
        start = LEFT + (4.1 * RULE if line <= INITIAL else 0)
        row: list[str] = []
        while words and pen.width(" ".join([*row, words[0]])) * LETTER < RIGHT - start:
            row.append(words.pop(0))
        gap = (RIGHT - start - sum(pen.width(word) for word in row) * LETTER) / max(1, len(row) - 1)
        x = start
        for word in row:
            pen.write(canvas, word, (x, TOP + line * RULE + 1), LETTER, INK)
            x += pen.width(word) * LETTER + (gap if words else pen.SPACE * LETTER)


def _initial(canvas: Canvas) -> None:
    """A large A, white, in a black square with white vines."""
    left, top, side = LEFT - 4, TOP + 8, INITIAL * RULE - 24
    box = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]
    for grow, ink in ((7, INK), (4, PAPER), (0, INK)):
        canvas.polygon([(x + grow * (1 if x > left else -1), y + grow * (1 if y > top else -1)) for x, y in box], ink)
    for column in range(4):
        for row in range(4):
            _curl(
                canvas,
                left + side * (0.125 + column / 4),
                top + side * (0.125 + row / 4),
                side * 0.105,
                90 * (row + column),
            )
    x, y, unit = left + side * 0.5, top + side * 0.88, side / 10
    strokes = (
        ((-0.2, 7.6), (-3.0, 0.4), (-3.8, 0.0)),
        ((-1.2, 7.9), (0.3, 7.2), (2.5, 0.5), (3.7, 0.0)),
        ((-2.3, 2.7), (1.9, 2.7)),
    )
    for ink, nib in ((INK, 2.5), (PAPER, 1.5)):
        for stroke in strokes:
            pen.sweep(canvas, [(x + px * unit, y - py * unit) for px, py in stroke], nib * unit, ink)


def _curl(canvas: Canvas, x: float, y: float, size: float, turn: float) -> None:
    """A spiral of vine with a leaf in its middle."""
    angles = np.linspace(0, 560, 40)
    points = [
        (x + size * (1 - a / 700) * cos(radians(a + turn)), y + size * (1 - a / 700) * sin(radians(a + turn)))
        for a in angles
    ]
    canvas.line(points, PAPER, 2.4)
    canvas.disc(*points[-1], size * 0.2, PAPER)


def _border(canvas: Canvas, rng: np.random.Generator) -> None:
    """A stem up the left margin that swings from side to side, with leaves and berries."""
    stem = [(150 + 34 * sin(y / 62), float(y)) for y in range(120, 1290, 4)]
    canvas.line(stem, INK, 3)
    for y in range(140, 1290, 24):
        x, swing = 150 + 34 * sin(y / 62), cos(y / 62)
        for side in (-1, 1):
            leaf = Leaf(x, y, side * 62 + 24 * swing, rng.uniform(42, 64), 17, -side * 40)
            _engrave(canvas, leaf)
            if rng.random() < 0.4:
                tip = leaf.spine[-1]
                canvas.disc(tip[0] + side * 9, tip[1] - 2, 4.5, INK)


def _foot(canvas: Canvas, rng: np.random.Generator) -> None:
    """The picture below the text: agaves drawn in outline, hatched on their shaded side."""
    for x, size in ((420, 130), (960, 120), (690, 225)):
        for leaf, _ in rosette(x, 1500, size, rng):
            _engrave(canvas, leaf)
    for step in range(11):
        y = 1502 + step * 4
        for x in range(230 + step * 17, 1120 - step * 17, 46):
            canvas.line([(x, y), (x + rng.uniform(14, 40), y)], INK, 1.6)


def _engrave(canvas: Canvas, leaf: Leaf) -> None:
    """One leaf: white, outlined, its right half hatched towards the tip."""
    left, right = leaf.edge(-1), leaf.edge(1)
    canvas.polygon([*left, *reversed(right)], PAPER)
    canvas.line(left, INK, 2)
    canvas.line(right, INK, 2)
    for rib, edge in zip(leaf.spine, right, strict=True):
        canvas.line([rib, edge], INK, 1.4)
