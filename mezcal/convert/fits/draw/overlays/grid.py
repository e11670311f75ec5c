"""A grid of right ascension and declination, with labels where its lines meet the picture's edges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mezcal.convert.fits.draw.overlays.pen import BLUE

if TYPE_CHECKING:
    from mezcal.convert.fits.draw.overlays.pen import Pen
    from mezcal.convert.fits.draw.overlays.sky_view import SkyView
    from mezcal.convert.fits.read.planes import Pixels

LINES = 4  # about so many of each kind
LINES_MAX = 24  # of each kind: meridians meet at a pole
SAMPLES = 33  # points a side of the picture, that say which part of the sky it shows
POINTS = 201  # of a line
NEAR = 0.02  # of the picture's size: lines are drawn so far beyond its edges
JUMP = 0.25  # of it, between two points of a line: it goes on at the other edge of an all-sky map
PAD = 4.0  # pixels between a label and the edge
SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
STEPS = [
    *(value * scale for scale in (0.0001, 0.001, 0.01, 0.1) for value in (1, 2, 5)),
    *(value * unit for unit in (SECOND, MINUTE) for value in (1, 2, 5, 10, 15, 20, 30)),
    *(value * HOUR for value in (1, 2, 3, 6, 10, 15, 30, 45)),
]


def draw_grid(pen: Pen, view: SkyView) -> None:
    """Draw lines of equal right ascension and of equal declination at round values."""
    ranges = _ranges(view)
    if ranges is None:
        return
    (west, east), (south, north) = ranges
    step = _step((east - west) / 15 * 3600)  # seconds of time
    for value in _values(west / 15 * 3600, east / 15 * 3600, step):
        line = np.stack([np.full(POINTS, value * 15 / 3600), np.linspace(south, north, POINTS)], 1)
        _draw_line(pen, view, line, ra_text(value % 86_400, step), axis=1)
    step = _step((north - south) * 3600)  # arcseconds
    for value in _values(south * 3600, north * 3600, step):
        line = np.stack([np.linspace(west, east, POINTS), np.full(POINTS, value / 3600)], 1)
        _draw_line(pen, view, line, dec_text(value, step), axis=0)


def _ranges(view: SkyView) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Returns west and east, south and north of the picture in degrees. None if it shows no sky.

    Right ascensions are counted from that of the centre, so that 0 is no edge. A pole has all of them.
    """
    across, along = (np.linspace(0, side, SAMPLES) for side in view.size)
    sky = view.sky_of(np.stack(np.meshgrid(across, along), -1).reshape(-1, 2))
    sky = sky[np.isfinite(sky).all(axis=1)]
    if len(sky) < 2:
        return None
    south, north = float(sky[:, 1].min()), float(sky[:, 1].max())
    poles = view.points_of(np.array([[0.0, 90.0], [0.0, -90.0]]))
    at_north, at_south = view.contains(poles).tolist()
    middle = sky[len(sky) // 2, 0]
    turned = (sky[:, 0] - middle + 180) % 360 - 180
    west, east = float(middle + turned.min()), float(middle + turned.max())
    if at_north or at_south:
        west, east = 0.0, 360.0 - 1e-6
    return (west, east), (-90.0 if at_south else south, 90.0 if at_north else north)


def _step(extent: float) -> float:
    """Returns the round step that makes about `LINES` lines of *extent*."""
    return min(STEPS, key=lambda step: abs(math.log(max(extent, 1e-9) / step / LINES)))


def _values(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step), math.floor(high / step)
    return [number * step for number in range(first, min(last, first + LINES_MAX) + 1)]


def _draw_line(pen: Pen, view: SkyView, sky: Pixels, text: str, axis: int) -> None:
    """Draw the parts of a line that are in the picture, and *text* where it enters."""
    points = view.points_of(sky)
    near = view.contains(points, margin=max(view.size) * NEAR)
    with np.errstate(invalid="ignore"):
        jumps = np.hypot(*np.diff(points, axis=0).T) > max(view.size) * JUMP
    breaks = np.flatnonzero((np.diff(near.astype(int)) != 0) | jumps) + 1
    labelled = False
    for part in (part for part in np.split(np.arange(len(points)), breaks) if near[part[0]] and len(part) > 1):
        pen.curve(points[part], BLUE, width=1.0, opacity=0.55)
        labelled = labelled or _label(pen, points[part], text, axis)


def _label(pen: Pen, line: Pixels, text: str, axis: int) -> bool:
    """Write *text* where *line* crosses an edge: the upper or lower one (*axis* 1), the left or right one (0).

    Returns False if it crosses none, or if there is no room.
    """
    far = float(pen.picture.size[axis])
    sides = ((0.0, PAD, "ma" if axis else "lm"), (far, far - PAD, "md" if axis else "rm"))
    for edge, place, anchor in sides:
        for crossing in _crossings(line, axis, edge):
            if pen.text_where_free((crossing, place) if axis else (place, crossing), text, BLUE, anchor):
                return True
    return False


def _crossings(line: Pixels, axis: int, edge: float) -> list[float]:
    """Returns where *line* crosses the *edge*, along it."""
    side, along = line[:, axis] - edge, line[:, 1 - axis]
    found = []
    for first in np.flatnonzero(side[:-1] * side[1:] <= 0).tolist():
        share = side[first] / (side[first] - side[first + 1]) if side[first] != side[first + 1] else 0.0
        found.append(float(along[first] + share * (along[first + 1] - along[first])))
    return found


def ra_text(seconds: float, step: float) -> str:
    """Returns a right ascension, in seconds of time, with no more digits than its *step* needs."""
    return _sexagesimal(seconds, step, ("h", "m", "s"))


def dec_text(arcseconds: float, step: float) -> str:
    """Returns a declination, in arcseconds, with no more digits than its *step* needs."""
    sign = "-" if arcseconds < 0 else "+"
    return sign + _sexagesimal(abs(arcseconds), step, ("\N{DEGREE SIGN}", "\N{PRIME}", "\N{DOUBLE PRIME}"))


def _sexagesimal(value: float, step: float, units: tuple[str, str, str]) -> str:
    digits = max(0, math.ceil(-math.log10(step) - 1e-9)) if step < 1 else 0
    value = round(value, digits)
    whole, rest = divmod(value, 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{int(whole)}{units[0]}"
    if step < HOUR:
        text += f"{int(minutes):02d}{units[1]}"
    if step < MINUTE:
        text += f"{seconds:0{3 + digits if digits else 2}.{digits}f}{units[2]}"
    return text
