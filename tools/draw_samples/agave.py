"""Agaves: a rosette seen from the side, leaf by leaf, each leaf with a lit and a shaded half."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from typing import TYPE_CHECKING

import numpy as np

from tools.draw_samples.canvas import Canvas, Ink, Points, blend, curve

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Leaf:
    """One leaf: *angle* in degrees from upright, *bend* what the tip leans more, sizes in pixels."""

    x: float
    y: float
    angle: float
    length: float
    width: float
    bend: float

    @property
    def spine(self) -> Points:
        """The midrib from base to tip."""
        first, second = radians(self.angle), radians(self.angle + self.bend)
        reach = self.length / 2
        mid = self.x + reach * sin(first), self.y - reach * cos(first)
        return curve((self.x, self.y), mid, (mid[0] + reach * sin(second), mid[1] - reach * cos(second)))

    def edge(self, side: float) -> Points:
        """One edge from base to tip, *side* half widths away: wide before the middle, a spike at the end."""
        points = []
        for at, (x, y) in zip(np.linspace(0, 1, len(self.spine)), self.spine, strict=True):
            lean = radians(self.angle + self.bend * at)
            half = side * self.width / 2 * (0.55 + 1.3 * at) * (1 - at) ** 0.75
            points.append((x + half * cos(lean), y + half * sin(lean)))
        return points


@dataclass(frozen=True)
class Light:
    """The inks of a rosette: its lit side, its shade, and the rim where the light grazes it."""

    lit: Ink
    shade: Ink
    rim: Ink | None = None
    from_left: bool = False


def rosette(x: float, y: float, size: float, rng: np.random.Generator) -> Iterator[tuple[Leaf, float]]:
    """The leaves of a plant at (*x*, *y*), *size* pixels tall, from back to front, with depth 0 to 1."""
    layers = ((11, 70, 1.0), (10, 80, 0.94), (9, 88, 0.8), (6, 74, 0.56))
    for depth, (count, spread, reach) in enumerate(layers):
        angles = np.linspace(-spread, spread, count) + rng.uniform(-4, 4, count)
        for angle in sorted(angles, key=abs, reverse=depth < 2):
            length = size * reach * rng.uniform(0.92, 1.05)
            bend = angle * 0.28 - 5 * rng.random()
            yield Leaf(x + angle * size / 900, y, angle, length, size * 0.17, bend), depth / 3


def plant(canvas: Canvas, leaves: Iterator[tuple[Leaf, float]], light: Light) -> None:
    """Draw *leaves*: what lies behind is darker, the half towards the light brighter."""
    for leaf, depth in leaves:
        bright = blend(light.shade, light.lit, 0.35 + 0.65 * depth)
        dark = blend(light.shade, light.lit, 0.4 * depth)
        near, far = (-1, 1) if light.from_left else (1, -1)
        canvas.polygon([*leaf.spine, *reversed(leaf.edge(near))], bright)
        canvas.polygon([*leaf.spine, *reversed(leaf.edge(far))], dark)
        if light.rim:
            canvas.line(leaf.edge(near), blend(dark, light.rim, 0.35 + 0.5 * depth), leaf.width / 16)
