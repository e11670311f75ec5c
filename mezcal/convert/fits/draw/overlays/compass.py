"""The compass, which shows north and east, and the scale bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.draw.overlays.pen import Pen
    from mezcal.convert.fits.draw.overlays.sky_view import SkyView
    from mezcal.convert.fits.read.planes import Pixels

ARM_SHARE, ARM_MIN, ARM_MAX = 0.12, 14.0, 60.0  # of the picture's smaller side; pixels
HEAD = 0.25  # of an arrow's length
LETTER_GAP = 0.75  # of the letters' points, between an arrow and the middle of its letter
BAR_SHARE = 0.3  # of the picture's width, at most
TICK = 4.0  # pixels
MARGIN = 8.0  # pixels from the edges
NICE = (1, 2, 5, 10, 20, 30)
LENGTHS = [  # arcseconds
    *(value / scale for scale in (10_000, 1000, 100, 10) for value in (1, 2, 5)),
    *(value * unit for unit in (1, 60, 3600) for value in NICE),
    *(90 * 3600.0,),
]


def draw_compass(pen: Pen, view: SkyView) -> None:
    """Draw two arrows in the upper right corner, to north and to east at the picture's centre."""
    arm = min(ARM_MAX, max(ARM_MIN, ARM_SHARE * min(view.size)))
    directions = {name: _direction(view, vector) for name, vector in (("E", [1.0, 0.0]), ("N", [0.0, 1.0]))}
    gap = LETTER_GAP * pen.points
    tips = np.array([[0.0, 0.0], *((arm + 1.6 * gap) * direction for direction in directions.values())])
    margin = MARGIN + pen.points / 3
    start = np.array([view.size[0] - margin - tips[:, 0].max(), margin - tips[:, 1].min()])
    low, high = start + tips.min(axis=0), start + tips.max(axis=0)
    pen.take((float(low[0]), float(low[1]), float(high[0]), float(high[1])))
    for name, direction in directions.items():
        tip = start + arm * direction
        across = np.array([-direction[1], direction[0]])
        back = tip - HEAD * arm * direction
        pen.line(np.array([start, tip]))
        pen.line(np.array([back + HEAD / 2 * arm * across, tip, back - HEAD / 2 * arm * across]))
        x, y = tip + gap * direction
        pen.text((float(x), float(y)), name)


def _direction(view: SkyView, sky: list[float]) -> Pixels:
    """Returns the unit vector of the picture that points to *sky*, which is east and north."""
    vector = np.linalg.solve(view.derivative, sky)
    return np.asarray(vector / np.linalg.norm(vector))


def draw_scale_bar(pen: Pen, view: SkyView) -> None:
    """Draw a bar of a round length, with its length, in the lower right corner."""
    across = float(np.hypot(*view.derivative[:, 0]))
    most = BAR_SHARE * view.size[0] * across
    length = max((length for length in LENGTHS if length <= most), default=most)
    pixels, text = length / across, length_text(length)
    right, bottom = view.size[0] - MARGIN, view.size[1] - MARGIN
    left = right - pixels
    pen.line(np.array([[left, bottom - TICK], [left, bottom], [right, bottom], [right, bottom - TICK]]))
    middle = min((left + right) / 2, right - pen.text_width(text) / 2)
    pen.text((middle, bottom - TICK - 1), text, anchor="md")
    width = max(pixels, pen.text_width(text))
    pen.take((right - width, bottom - TICK - 1 - pen.points, right, bottom))


def length_text(length: float) -> str:
    """Returns *length* arcseconds in the unit that suits it."""
    for unit, sign in ((3600, "\N{DEGREE SIGN}"), (60, "\N{PRIME}")):
        if length >= unit:
            return f"{length / unit:g}{sign}"
    return f"{length:.4g}\N{DOUBLE PRIME}"
