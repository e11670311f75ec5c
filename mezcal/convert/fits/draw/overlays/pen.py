"""Draws smooth lines with a dark edge, which are visible on black and on white."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from mezcal.convert.fits.draw.label import load_font

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through *points* of the picture, x and y from the upper left corner."""

    points: Pixels
    colour: Colour
    width: float
    opacity: float


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
        """Draw a line through *points*. It may be partly outside of the picture."""
        self._strokes.append(Stroke(np.asarray(points, float), colour, width, opacity))

    def circle(self, centre: tuple[float, float], radius: float, colour: Colour = YELLOW) -> None:
        """Draw a circle."""
        count = min(CIRCLE_POINTS_MAX, max(24, math.ceil(2 * math.pi * radius / CIRCLE_STEP)))
        turns = np.linspace(0, 2 * np.pi, count + 1)
        self.line(np.stack([centre[0] + radius * np.cos(turns), centre[1] + radius * np.sin(turns)], 1), colour)

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
        self._strokes.sort(key=lambda stroke: stroke.opacity)
        width, height = self.picture.size
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                box = left, top, min(left + TILE, width), min(top + TILE, height)
                near = [stroke for stroke in self._strokes if _is_near(stroke, box)]
                if near:
                    self._draw_tile(box, near)
        canvas, font = ImageDraw.Draw(self.picture), load_font(self.points)
        for place, text, colour, anchor in self._texts:
            canvas.text(place, text, colour, font, anchor, stroke_width=1, stroke_fill="black")

    def _draw_tile(self, box: tuple[int, int, int, int], strokes: list[Stroke]) -> None:
        tile = self.picture.crop(box)
        for stroke in strokes:
            mask = _mask(stroke, box, stroke.width + 2 * EDGE, EDGE_OPACITY * stroke.opacity)
            tile.paste((0, 0, 0), (0, 0), mask)
        for stroke in strokes:
            tile.paste(stroke.colour, (0, 0), _mask(stroke, box, stroke.width, stroke.opacity))
        self.picture.paste(tile, box[:2])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] + GAP and other[0] < one[2] + GAP and one[1] < other[3] + GAP and other[1] < one[3] + GAP


def _is_near(stroke: Stroke, box: tuple[int, int, int, int]) -> bool:
    low, high = stroke.points.min(axis=0) - stroke.width - EDGE, stroke.points.max(axis=0) + stroke.width + EDGE
    return bool(low[0] < box[2] and high[0] > box[0] and low[1] < box[3] and high[1] > box[1])


def _mask(stroke: Stroke, box: tuple[int, int, int, int], width: float, opacity: float) -> Image.Image:
    """Returns how much of each pixel of *box* a line covers."""
    size = (box[2] - box[0]) * FINE, (box[3] - box[1]) * FINE
    fine = Image.new("L", size)
    points = ((stroke.points - box[:2]) * FINE).round().astype(int)
    line = [(x, y) for x, y in points.tolist()]
    ImageDraw.Draw(fine).line(line, round(255 * opacity), round(width * FINE), joint="curve")
    return fine.reduce(FINE)
