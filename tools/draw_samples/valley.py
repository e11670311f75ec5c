"""A map of a valley that is nowhere: heights in tints and contours, a river, a village, a compass."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from tools.draw_samples import pen
from tools.draw_samples.canvas import Canvas, Pixels, gradient, grid, rgb

WIDTH, HEIGHT = 1400, 1000
INK, WATER, ROAD = rgb("#5a4632"), rgb("#5f9fb0"), rgb("#b4502c")
TINTS = (
    (0.0, "#b9cfa4"),
    (0.2, "#d6dcae"),
    (0.4, "#efe3b4"),
    (0.6, "#e6c48e"),
    (0.8, "#cf9f74"),
    (1.0, "#f6efe4"),
)


def valley() -> Pixels:
    """1400 x 1000 pixels of RGB."""
    heights = _heights()
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.paint(_relief(heights))
    _river(canvas)
    _road(canvas)
    _grid(canvas)
    _village(canvas)
    _compass(canvas, 1240, 170, 78)
    _scale(canvas, 1060, 930)
    for name, place, size, ink in (
        ("sierra del norte", (190, 190), 20, INK),
        ("rio agaue", (985, 415), 15, rgb("#2f6f86")),
        ("cerro alto", (930, 800), 16, INK),
    ):
        pen.write(canvas, name, place, size, ink)
    return canvas.pixels()


def _course(x: Pixels) -> Pixels:
    """Where the river runs: y for each *x*."""
    return np.asarray(560 + 95 * np.sin(x / 190) + 38 * np.sin(x / 71 + 1) - 0.12 * (x - 700))


def _heights() -> Pixels:
    """Heights 0 to 1 on every pixel: hills of several sizes, lower the nearer the river."""
    rng = np.random.default_rng(15)
    x, y = grid(WIDTH, HEIGHT)
    hills = np.zeros_like(x)
    for octave in range(4):
        count, size = 7 * 2**octave, 0.5**octave
        for _ in range(count):
            cx, cy = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            reach = rng.uniform(120, 260) * 0.62**octave
            hills += size * rng.uniform(-0.5, 1) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * reach**2))
    away = np.abs(y - _course(x)) / 420
    slope = away**1.1 / (0.35 + away**1.1)
    heights = slope * (0.55 + 0.62 * hills)
    return np.asarray((heights - heights.min()) / (heights.max() - heights.min()))


def _relief(heights: Pixels) -> Pixels:
    """Tints in steps, contours between them, and a light from the north-west in a few steps of shade."""
    bands = np.floor(heights * 24)
    color = gradient(TINTS, bands / 24)
    down, across = np.gradient(heights)
    shade = np.round(np.clip((down + across) * 160, -1, 1) * 4) / 4
    color *= (1 + 0.17 * shade)[..., None]
    for every, strength in ((1, 0.22), (4, 0.5)):
        steps = np.floor(bands / every)
        edge = (steps != np.roll(steps, 1, 0)) | (steps != np.roll(steps, 1, 1))
        color[edge] += (np.array(INK) - color[edge]) * strength
    return np.asarray(color.clip(0, 255).astype(np.uint8))


def _river(canvas: Canvas) -> None:
    x = np.linspace(0, WIDTH, 200)
    course = list(zip(x.tolist(), _course(x).tolist(), strict=True))
    canvas.line(course, rgb("#2f6f86"), 13)
    canvas.line(course, WATER, 10)


def _road(canvas: Canvas) -> None:
    x = np.linspace(0, WIDTH, 160)
    y = _course(x) + 46 + 30 * np.sin(x / 120)
    road = list(zip(x.tolist(), y.tolist(), strict=True))
    canvas.line(road, INK, 6)
    canvas.line(road, rgb("#f6efe4"), 3.5)


def _grid(canvas: Canvas) -> None:
    """A frame in black and white, and crosses where the grid's lines meet."""
    for step in range(0, WIDTH, 100):
        for y in (0, HEIGHT - 14):
            canvas.polygon([(step, y), (step + 50, y), (step + 50, y + 14), (step, y + 14)], INK)
            canvas.polygon([(step + 50, y), (step + 100, y), (step + 100, y + 14), (step + 50, y + 14)], rgb("#f6efe4"))
    for step in range(0, HEIGHT, 100):
        for x in (0, WIDTH - 14):
            canvas.polygon([(x, step), (x + 14, step), (x + 14, step + 50), (x, step + 50)], INK)
            canvas.polygon([(x, step + 50), (x + 14, step + 50), (x + 14, step + 100), (x, step + 100)], rgb("#f6efe4"))
    for x in range(200, WIDTH, 200):
        for y in range(200, HEIGHT, 200):
            canvas.line([(x - 9, y), (x + 9, y)], INK, 1)
            canvas.line([(x, y - 9), (x, y + 9)], INK, 1)


def _village(canvas: Canvas) -> None:
    """Houses along the road, a church, fields of agaves in rows."""
    rng = np.random.default_rng(4)
    for _ in range(34):
        x = rng.uniform(395, 585)
        y = float(_course(np.array(x))) + 46 + 30 * sin(x / 120) + rng.uniform(10, 44)
        canvas.polygon([(x - 5, y - 4), (x + 5, y - 4), (x + 5, y + 4), (x - 5, y + 4)], ROAD)
    for row in range(9):
        for column in range(15):
            canvas.disc(640 + column * 13 + row * 4, 742 + row * 12 - column * 3, 3, rgb("#2f6f62"))
    pen.write(canvas, "santa rosa", (560, 700), 17, INK)


def _compass(canvas: Canvas, x: float, y: float, size: float) -> None:
    canvas.disc(x, y, size * 0.66, INK)
    canvas.disc(x, y, size * 0.63, rgb("#f6efe4"))
    for reach, turn in ((0.7, 45), (1.0, 0)):
        for quarter in range(4):
            angle = radians(90 * quarter + turn)
            tip = x + size * reach * sin(angle), y - size * reach * cos(angle)
            for side, ink in ((-1, INK), (1, rgb("#c9a978"))):
                bend = angle + side * radians(45)
                waist = x + size * 0.17 * sin(bend), y - size * 0.17 * cos(bend)
                canvas.polygon([(x, y), waist, tip], ink)


def _scale(canvas: Canvas, x: float, y: float) -> None:
    for step in range(5):
        left = x + step * 50
        ink = INK if step % 2 == 0 else rgb("#f6efe4")
        canvas.polygon([(left, y), (left + 50, y), (left + 50, y + 9), (left, y + 9)], ink)
    canvas.line([(x, y), (x + 250, y), (x + 250, y + 9), (x, y + 9), (x, y)], INK, 1)
