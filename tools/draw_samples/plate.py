"""A botanical plate: an agave in flower, coloured, with its details next to it and its name below."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from tools.draw_samples import pen
from tools.draw_samples.agave import Leaf, Light, plant, rosette
from tools.draw_samples.canvas import Canvas, Pixels, curve, rgb

PAPER, INK = rgb("#f4ead2"), rgb("#3b2a20")
GREEN = Light(rgb("#8fb59a"), rgb("#2c5a52"), rgb("#dfe8c4"), from_left=True)
PETAL, ANTHER = rgb("#d9a32e"), rgb("#b4502c")


def plate() -> Pixels:
    """1000 x 1400 pixels of CMYK ink, 0 to 255."""
    canvas = Canvas(1000, 1400, PAPER)
    rng = np.random.default_rng(21)
    for inset, weight in ((44, 4.0), (56, 1.5)):
        canvas.line(_frame(canvas, inset), INK, weight)
    _stem(canvas, rng)
    for step in range(9):
        y = 1190 + 6 * step
        canvas.line([(150 + 34 * step, y), (770 - 30 * step, y)], rgb("#8a7458"), 1.5)
    plant(canvas, rosette(450, 1185, 350, rng), GREEN)
    _flower(canvas, 790, 360)
    _section(canvas, 790, 640)
    _seeds(canvas, 790, 850)
    pen.write(canvas, "agaue", (352, 1312), 42, INK)
    for mark, place in (("a", (866, 480)), ("b", (866, 730)), ("c", (866, 900))):
        pen.write(canvas, mark + ".", place, 16, INK)
    return _inks(canvas.pixels())


def _frame(canvas: Canvas, inset: float) -> list[tuple[float, float]]:
    right, foot = canvas.width - inset, canvas.height - inset
    return [(inset, inset), (right, inset), (right, foot), (inset, foot), (inset, inset - 2)]


def _stem(canvas: Canvas, rng: np.random.Generator) -> None:
    """The flower stalk with its bracts, and arms that carry yellow flowers."""
    canvas.polygon([(431, 1100), (469, 1100), (457, 160), (450, 140), (443, 160)], rgb("#6f8a5c"))
    canvas.polygon([(450, 1100), (469, 1100), (457, 160), (450, 140)], rgb("#4d6a4a"))
    for y in range(560, 1060, 62):
        side = 1 if y // 62 % 2 else -1
        plant(canvas, iter([(Leaf(450 + side * 6, y, side * 24, 74, 22, side * 8), 0.8)]), GREEN)
    for step in range(10):
        y, reach = 610 - step * 46, 190 * (1 - step / 11.5)
        for side in (-1, 1):
            tip = 450 + side * reach, y - 34 - reach * 0.3
            canvas.line(curve((450, y), (450 + side * reach * 0.8, y - 4), tip), rgb("#5c7a52"), 6 - step * 0.35)
            _cluster(canvas, tip, 46 - step * 2.6, rng)


def _cluster(canvas: Canvas, at: tuple[float, float], size: float, rng: np.random.Generator) -> None:
    for angle in np.linspace(-82, 82, 17):
        reach = size * rng.uniform(0.75, 1.15)
        x, y = at[0] + reach * sin(radians(angle)), at[1] - 0.62 * reach * cos(radians(angle))
        canvas.line([at, (x, y)], PETAL, 4)
        canvas.line([(x, y), (x + 3 * sin(radians(angle)), y - 7)], ANTHER, 2)


def _flower(canvas: Canvas, x: float, y: float) -> None:
    """One flower, much enlarged: ovary, tepals, stamens."""
    for lean in (-26, -9, 9, 26):
        top = (x + 2.1 * lean, y - 150 + abs(lean) * 0.5)
        canvas.line([(x, y), (x + lean, y - 70), top], rgb("#c9b26a"), 5)
        canvas.polygon(
            [
                (top[0] - 17, top[1] - 3),
                (top[0] + 17, top[1] - 9),
                (top[0] + 15, top[1] + 1),
                (top[0] - 15, top[1] + 6),
            ],
            ANTHER,
        )
    petals = [Leaf(x, y + 26, angle, 118, 40, angle * 0.5) for angle in (-38, 38, -20, 20, 0)]
    plant(
        canvas,
        iter([(leaf, 0.8) for leaf in petals]),
        Light(rgb("#ecc65a"), rgb("#b98a2a"), INK, from_left=True),
    )
    body = Leaf(x, y + 108, 0, 150, 62, 0)
    plant(canvas, iter([(body, 0.9)]), Light(rgb("#9dba86"), rgb("#4d6a4a"), INK, from_left=True))


def _section(canvas: Canvas, x: float, y: float) -> None:
    """The ovary cut across: three chambers, two rows of seeds in each."""
    for radius, ink in ((74, INK), (71, rgb("#a9c08e")), (60, rgb("#e5e3b4"))):
        canvas.disc(x, y, radius, ink)
    for chamber in (90, 210, 330):
        cx, cy = x + 33 * cos(radians(chamber)), y - 33 * sin(radians(chamber))
        canvas.disc(cx, cy, 24, INK)
        canvas.disc(cx, cy, 22, rgb("#c6d3a0"))
        for side in (-9, 9):
            for along in (-8, 8):
                dx = along * cos(radians(chamber)) - side * sin(radians(chamber))
                dy = -along * sin(radians(chamber)) - side * cos(radians(chamber))
                canvas.disc(cx + dx, cy + dy, 6.5, rgb("#f4f0d8"))


def _seeds(canvas: Canvas, x: float, y: float) -> None:
    for column in (-58, 0, 58):
        half = [(x + column + 22 * cos(radians(a)), y - 24 * sin(radians(a))) for a in range(0, 181, 10)]
        canvas.polygon([*half, (x + column, y + 12)], INK)
        canvas.line([(x + column - 12, y - 5), (x + column, y - 16), (x + column + 12, y - 5)], rgb("#8a7458"), 2)


def _inks(pixels: Pixels) -> Pixels:
    """RGB as CMYK, half of what the three colours share printed in black instead."""
    colors = 255 - pixels.astype(float)
    black = 0.5 * colors.min(axis=-1, keepdims=True)
    colors = 255 * (colors - black) / (255 - black)
    return np.concatenate([colors, black], axis=-1).round().astype(np.uint8)
