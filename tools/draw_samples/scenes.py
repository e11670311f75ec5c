"""Two landscapes: an agave field at dusk, and a moonrise with the bats that pollinate agaves."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from tools.draw_samples.agave import Light, plant, rosette
from tools.draw_samples.canvas import Canvas, Pixels, Points, blend, curve, gradient, grid, rgb, ridge

DUSK = (
    (0.0, "#1d1b4b"),
    (0.2, "#4a2a72"),
    (0.42, "#b23f77"),
    (0.62, "#f2694f"),
    (0.82, "#ffa53f"),
    (1.0, "#ffdf86"),
)
NIGHT = ((0.0, "#07142e"), (0.35, "#12345a"), (0.7, "#2f6f86"), (1.0, "#93b9a8"))


def field() -> Pixels:
    """Rows of agaves under an evening sky, 1200 x 800."""
    width, height, horizon = 1440, 960, 520
    rng = np.random.default_rng(7)
    canvas = Canvas(width, height, scale=5 / 6)
    x, y = grid(width, height)
    glow = np.exp(-(((x - 980) / 420) ** 2 + ((y - 470) / 260) ** 2))
    sky = gradient(DUSK, np.clip(y / horizon, 0, 1) + 0.1 * glow)
    canvas.paint((sky + glow[..., None] * (30, 26, 8)).clip(0, 255).astype(np.uint8))
    _stars(canvas, rng, 90, 230)
    canvas.disc(980, 424, 82, rgb("#fff3c0"))
    _hills(canvas, rng, horizon, ("#d2587a", "#8f3f74", "#552c63"))
    _ground(canvas, horizon)
    _rows(canvas, rng, horizon)
    return canvas.pixels()


def _stars(canvas: Canvas, rng: np.random.Generator, count: int, below: float) -> None:
    for _ in range(count):
        place = rng.uniform(0, canvas.width), below * rng.random() ** 1.6
        canvas.disc(*place, rng.uniform(0.5, 1.5), rgb("#fdeee6"))


def _hills(canvas: Canvas, rng: np.random.Generator, horizon: float, inks: tuple[str, ...]) -> None:
    for layer, ink in enumerate(inks):
        heights = ridge(canvas.width + 1, rng, 7, 0.56) * (30 - 6 * layer) + 58 - 18 * layer
        line = [(float(x), horizon - max(4.0, float(h))) for x, h in enumerate(heights)]
        canvas.polygon([*line, (canvas.width, horizon + 9), (0, horizon + 9)], rgb(ink))


def _ground(canvas: Canvas, horizon: float) -> None:
    """Furrows that run to the point where the sun goes down."""
    width, height = canvas.width, canvas.height
    canvas.polygon([(0, horizon), (width, horizon), (width, height), (0, height)], rgb("#6b3555"))
    for row in range(-70, 60):
        near = 980 + row * 200.0
        for start, end, ink in ((0, 150, "#a04b5a"), (40, 96, "#c4685a")):
            canvas.polygon([(980, horizon), (near + end, height + 60), (near + start, height + 60)], rgb(ink))
    for step in range(34):
        haze = blend(rgb("#e58a63"), rgb("#a8505c"), step / 33)
        canvas.line([(0, horizon + step), (width, horizon + step)], haze, 1.5)


def _rows(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Plants from far to near: as the furrows spread, so the plants grow and the air between clears."""
    for near in 1 / np.linspace(9, 0.98, 15):
        y = horizon + 470 * near
        rows = int(1300 / (400 * near)) + 1
        for row in range(-rows, rows):
            x = 980 + (row + 0.5) * 400 * near + rng.uniform(-14, 14) * near
            if not -260 * near < x < canvas.width + 260 * near:
                continue
            air = 0.75 * max(0, 1 - near) ** 2.2
            lit = blend(rgb("#5fb09b"), rgb("#d8707a"), air)
            shade = blend(rgb("#173a4e"), rgb("#8a4070"), air)
            rim = blend(rgb("#ffb877"), rgb("#ffa070"), air)
            light = Light(lit, shade, rim, from_left=x > 980)
            plant(canvas, rosette(x, y + rng.uniform(-6, 6) * near, 236 * near, rng), light)


def moonrise() -> Pixels:
    """An agave in flower before the moon, with bats, upright 930 x 1300."""
    width, height = 930, 1300
    rng = np.random.default_rng(11)
    canvas = Canvas(width, height)
    x, y = grid(width, height)
    away = np.hypot(x - 520, y - 430)
    halo = np.exp(-np.clip(away - 215, 0, None) / 150)
    sky = gradient(NIGHT, y / height)
    canvas.paint((sky + halo[..., None] * (92, 92, 66)).clip(0, 255).astype(np.uint8))
    _stars(canvas, rng, 170, 900)
    _moon(canvas, 520, 430, 215, rng)
    for layer, ink in enumerate(("#3d7486", "#235064", "#123444")):
        heights = ridge(width + 1, rng, 6, 0.55) * (36 - 6 * layer) + 250 - 78 * layer
        line = [(float(at), height - float(h)) for at, h in enumerate(heights)]
        canvas.polygon([*line, (width, height), (0, height)], rgb(ink))
    _stalk(canvas, rng)
    night = Light(rgb("#1f5a63"), rgb("#041420"), rgb("#cfe6cf"))
    plant(canvas, rosette(330, 1270, 330, rng), night)
    for place in (
        (690, 300, 84, -14),
        (560, 560, 62, 12),
        (775, 520, 42, -8),
        (640, 690, 30, 18),
        (165, 420, 36, 10),
    ):
        canvas.polygon(_bat(*place), rgb("#061522"))
    return canvas.pixels()


def _moon(canvas: Canvas, x: float, y: float, radius: float, rng: np.random.Generator) -> None:
    canvas.disc(x, y, radius, rgb("#f6efd2"))
    for _ in range(26):
        angle, out = rng.uniform(0, 6.283), radius * 0.86 * rng.random() ** 0.5
        size = min(rng.uniform(6, 42), radius - out - 4)
        canvas.disc(x + out * cos(angle), y + out * sin(angle), size, rgb("#ebe2bf"))
    for _ in range(14):
        angle, out = rng.uniform(0, 6.283), radius * 0.8 * rng.random() ** 0.5
        canvas.disc(x + out * cos(angle), y + out * sin(angle), rng.uniform(3, 11), rgb("#dcd2ac"))


def _stalk(canvas: Canvas, rng: np.random.Generator) -> None:
    """The quiote: a tall stem, and arms that end in plates of flowers."""
    dark, lamp = rgb("#061522"), rgb("#f0c76a")
    canvas.polygon([(318, 1240), (342, 1240), (339, 150), (333, 130), (328, 150)], dark)
    for step in range(11):
        y = 760 - step * 56
        reach = 148 * (1 - step / 12.5) + 12
        side = 1 if step % 2 else -1
        for way in (side, -side * 0.72):
            tip = (333 + way * reach, y - 58 - 0.18 * reach)
            bend = 333 + way * reach * 0.78, y - 6
            canvas.line(curve((333, y), bend, tip), dark, 6 - step * 0.3)
            _flowers(canvas, tip, 34 - step * 1.7, rng, (dark, lamp))


def _flowers(
    canvas: Canvas,
    at: tuple[float, float],
    size: float,
    rng: np.random.Generator,
    inks: tuple[tuple[int, ...], ...],
) -> None:
    """A plate of upright flowers: dark cups, bright anthers above them."""
    for angle in np.linspace(-78, 78, 13):
        reach = size * rng.uniform(0.8, 1.15)
        x, y = at[0] + reach * sin(radians(angle)), at[1] - reach * 0.62 * cos(radians(angle))
        canvas.line([at, (x, y)], inks[0], 4)
        canvas.disc(x, y, 3.4, inks[0])
        canvas.disc(x + rng.uniform(-2, 2), y - 5, 2.1, inks[1])


def _bat(x: float, y: float, size: float, tilt: float) -> Points:
    """A bat with spread wings, *size* from body to wing tip, leaning by *tilt* degrees."""
    half = [
        *((0.0, -0.13), (0.03, -0.14), (0.075, -0.27), (0.11, -0.13), (0.13, -0.02), (0.22, -0.05)),
        *((0.36, -0.27), (0.42, -0.33), (0.45, -0.27), (0.64, -0.24), (0.84, -0.1), (1.0, 0.16)),
        *_scallop((1.0, 0.16), (0.68, 0.2)),
        *_scallop((0.68, 0.2), (0.38, 0.22)),
        *_scallop((0.38, 0.22), (0.1, 0.24)),
        *((0.05, 0.34), (0.0, 0.3)),
    ]
    outline = [*half, *((-px, py) for px, py in reversed(half))]
    turn = radians(tilt)
    return [
        (x + size * (px * cos(turn) - py * sin(turn)), y + size * (px * sin(turn) + py * cos(turn)))
        for px, py in outline
    ]


def _scallop(start: tuple[float, float], end: tuple[float, float]) -> Points:
    """The hollow edge of a wing's skin between two fingers."""
    middle = (start[0] + end[0]) / 2 - 0.02, (start[1] + end[1]) / 2 - 0.2
    return curve(start, middle, end)
