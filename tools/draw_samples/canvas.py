"""Paper to draw the samples on: shapes at twice the size, brought down smoothly at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels: TypeAlias = NDArray[Any]
Points: TypeAlias = Sequence[tuple[float, float]]
Ink: TypeAlias = tuple[int, ...]

SMOOTH = 2  # drawn at so many times the size: Pillow's shapes have hard edges


class Canvas:
    """A picture drawn in units of *width* x *height*; each becomes *scale* pixels."""

    def __init__(self, width: int, height: int, ink: Ink | int = 0, mode: str = "RGB", scale: float = 1) -> None:
        self.width, self.height = width, height
        self.unit = SMOOTH * scale
        self.image = Image.new(mode, (round(width * self.unit), round(height * self.unit)), ink)
        self.draw = ImageDraw.Draw(self.image)

    def paint(self, pixels: Pixels) -> None:
        """Lay *pixels*, one a unit, over everything."""
        self.image.paste(Image.fromarray(pixels).resize(self.image.size, Image.Resampling.BOX))

    def polygon(self, points: Points, ink: Ink | int) -> None:
        """Fill the outline *points*."""
        self.draw.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=ink)

    def line(self, points: Points, ink: Ink | int, width: float = 1) -> None:
        """Draw through *points*, *width* units wide."""
        scaled = [(x * self.unit, y * self.unit) for x, y in points]
        self.draw.line(scaled, fill=ink, width=max(1, round(width * self.unit)), joint="curve")

    def disc(self, x: float, y: float, radius: float, ink: Ink | int) -> None:
        """Fill a circle."""
        box = [(edge + way * radius) * self.unit for way in (-1, 1) for edge in (x, y)]
        self.draw.ellipse(box, fill=ink)

    def pixels(self) -> Pixels:
        """What was drawn, smooth."""
        return np.asarray(self.image.reduce(SMOOTH))


def gradient(stops: Sequence[tuple[float, str]], at: Pixels) -> Pixels:
    """RGB pixels for positions *at*: colours `#rrggbb` by position, blended between the *stops*."""
    places = [place for place, _ in stops]
    inks = np.array([rgb(color) for _, color in stops], float)
    return np.stack([np.interp(at, places, inks[:, band]) for band in range(3)], axis=-1)


def rgb(color: str) -> tuple[int, int, int]:
    """The three bytes of `#rrggbb`."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def blend(one: Sequence[int], other: Sequence[int], share: float) -> tuple[int, ...]:
    """*one* and *other* mixed: *share* 0 is the first, 1 the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def grid(width: int, height: int) -> tuple[Pixels, Pixels]:
    """Each pixel's x and y."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    return x, y


def curve(start: tuple[float, float], bend: tuple[float, float], end: tuple[float, float]) -> Points:
    """Points along the quadratic Bezier curve that leaves *start* towards *bend* and arrives at *end*."""
    return [
        tuple((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c for a, b, c in zip(start, bend, end, strict=True))
        for t in np.linspace(0, 1, 18)
    ]


def ridge(width: int, rng: np.random.Generator, waves: int, rough: float) -> Pixels:
    """A mountain's outline: heights about 0, one a pixel, from sines of halving size."""
    x = np.arange(width) / width
    sizes = [rough**n for n in range(waves)]
    return np.asarray(sum(size * np.sin(2 * np.pi * (1.6**n * x + rng.random())) for n, size in enumerate(sizes)))
