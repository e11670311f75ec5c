"""Draws smooth lines with a dark edge, which are visible on black and on white."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from mezcal.convert.fits.draw.label import load_font

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.fits.read.planes import Pixels

TILE = 512  # pixels: lines are drawn in tiles, so that no mask is as large as the picture
FINE = 4  # times the picture's pixels, in which lines are drawn
EDGE = 1.0  # pixels on both sides of a line
EDGE_OPACITY = 0.6
GAP = 3.0  # pixels between two texts
CIRCLE_STEP = 3.0  # pixels between the points of a circle
CIRCLE_POINTS_MAX = 2_000
WHITE, YELLOW, BLUE = (255, 255, 255), (255, 214, 64), (120, 200, 255)

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]  # left, top, right, bottom
TileBox = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through *points* of the picture, x and y from the upper left corner. Its corners are *joined*, or open."""

    points: Pixels
    colour: Colour
    width: float
    opacity: float
    joined: bool

    def near(self, box: TileBox) -> list[Pixels]:
        """Returns the parts of the line whose segments reach into *box*."""
        margin = self.width / 2 + EDGE + 1
        low, high = np.minimum(self.points[:-1], self.points[1:]), np.maximum(self.points[:-1], self.points[1:])
        reach = (low < np.array(box[2:]) + margin) & (high > np.array(box[:2]) - margin)
        numbers = np.flatnonzero(reach.all(axis=1))
        if not len(numbers):
            return []
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
        return [self.points[run[0] : run[-1] + 2] for run in runs]


Near = tuple[Stroke, list["Pixels"]]  # a line, and its parts in a tile


@dataclass
class Pen:
    """Collects lines for the *picture*, which is RGB, and draws them together. Text is drawn over them."""

    picture: Image.Image
    points: int  # of the letters
    _strokes: list[Stroke] = field(default_factory=list)
    _texts: list[tuple[tuple[float, float], str, Colour, str]] = field(default_factory=list)
    _taken: list[Box] = field(default_factory=list)

    @classmethod
    def of(cls, picture: Image.Image) -> Pen:
        """Returns a pen whose letters suit the size of *picture*."""
        return cls(picture, max(9, min(16, round(min(picture.size) / 24))))

    def line(self, points: Pixels, colour: Colour = WHITE, width: float = 1.5, opacity: float = 1.0) -> None:
        """Draw a line through *points*, with joined corners. It may be partly outside of the picture."""
        self._strokes.append(Stroke(np.asarray(points, float), colour, width, opacity, joined=True))

    def curve(self, points: Pixels, colour: Colour, width: float = 1.5, opacity: float = 1.0) -> None:
        """Draw a smooth line. Its *points* are so close that it has no corners: joints would cost most of the time."""
        self._strokes.append(Stroke(np.asarray(points, float), colour, width, opacity, joined=False))

    def circle(self, centre: tuple[float, float], radius: float, colour: Colour = YELLOW) -> None:
        """Draw a circle."""
        count = min(CIRCLE_POINTS_MAX, max(24, math.ceil(2 * math.pi * radius / CIRCLE_STEP)))
        turns = np.linspace(0, 2 * np.pi, count + 1)
        self.curve(np.stack([centre[0] + radius * np.cos(turns), centre[1] + radius * np.sin(turns)], 1), colour)

    def text(self, place: tuple[float, float], text: str, colour: Colour = WHITE, anchor: str = "mm") -> None:
        """Write *text* at *place*, which is that point of it that Pillow's *anchor* names."""
        self._texts.append((place, text, colour, anchor))

    def take(self, box: Box) -> None:
        """Keep the text of the grid out of *box*."""
        self._taken.append(box)

    def text_where_free(self, place: tuple[float, float], text: str, colour: Colour, anchor: str) -> bool:
        """Write *text* unless something is there already. Returns False if it is not written."""
        left, top, right, bottom = load_font(self.points).getbbox(text, anchor=anchor)
        box = place[0] + left, place[1] + top, place[0] + right, place[1] + bottom
        inside = box[0] >= 0 and box[1] >= 0 and box[2] <= self.picture.width and box[3] <= self.picture.height
        if not inside or any(_overlap(box, other) for other in self._taken):
            return False
        self.take(box)
        self.text(place, text, colour, anchor)
        return True

    def text_width(self, text: str) -> float:
        """Returns the width of *text* in pixels."""
        return float(load_font(self.points).getlength(text))

    def finish(self) -> None:
        """Draw all lines, the faint ones first, and then all text."""
        self._strokes.sort(key=_paint)
        for box in self._tiles():
            near = [(stroke, parts) for stroke in self._strokes if (parts := stroke.near(box))]
            if near:
                self._draw_tile(box, near)
        canvas, font = ImageDraw.Draw(self.picture), load_font(self.points)
        for place, text, colour, anchor in self._texts:
            canvas.text(place, text, colour, font, anchor, stroke_width=1, stroke_fill="black")

    def _tiles(self) -> Iterator[TileBox]:
        width, height = self.picture.size
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                yield left, top, min(left + TILE, width), min(top + TILE, height)

    def _draw_tile(self, box: TileBox, near: list[Near]) -> None:
        """Draw the edges of all lines and then the lines, with one mask for all that have one colour and opacity."""
        tile = self.picture.crop(box)
        for opacity, group in groupby(near, key=lambda each: each[0].opacity):
            tile.paste((0, 0, 0), (0, 0), _mask(list(group), box, 2 * EDGE, EDGE_OPACITY * opacity))
        for (opacity, colour), group in groupby(near, key=lambda each: _paint(each[0])):
            tile.paste(colour, (0, 0), _mask(list(group), box, 0, opacity))
        self.picture.paste(tile, box[:2])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] + GAP and other[0] < one[2] + GAP and one[1] < other[3] + GAP and other[1] < one[3] + GAP


def _paint(stroke: Stroke) -> tuple[float, Colour]:
    return stroke.opacity, stroke.colour


def _mask(near: list[Near], box: TileBox, wider: float, opacity: float) -> Image.Image:
    """Returns how much of each pixel of *box* the lines cover, which are drawn *wider* by so many pixels."""
    size = (box[2] - box[0]) * FINE, (box[3] - box[1]) * FINE
    fine = Image.new("L", size)
    canvas = ImageDraw.Draw(fine)
    for stroke, parts in near:
        for part in parts:
            points = ((part - box[:2]) * FINE).round().astype(int).ravel().tolist()
            width, joint = round((stroke.width + wider) * FINE), "curve" if stroke.joined else None
            canvas.line(points, round(255 * opacity), width, joint)
    return fine.reduce(FINE)
