"""Small plots as SVG. The server draws them, so the page needs no plotting script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 240, 48  # units of the drawing
STROKE_WIDTH = 2.0  # the plot leaves this much space at its edges


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One series: *values*, one a minute or day, the oldest first; None where nothing was measured."""

    name: str
    values: Sequence[float | None]

    @property
    def newest(self) -> float | None:
        """The last value."""
        return self.values[-1] if self.values else None

    @property
    def maximum(self) -> float:
        """The largest value, 0 if nothing was measured."""
        return max((value for value in self.values if value is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Plot:
    """Several lines on one scale that begins at 0; *as_text* writes a value with its unit.

    *period* is what all values are of, *newest_step* what the last one is of.
    """

    title: str
    lines: Sequence[PlotLine]
    as_text: Callable[[float], str]
    period: str = "the last hour"
    newest_step: str = "in the last minute"

    @property
    def top(self) -> float:
        """The value at the upper edge."""
        return max(line.maximum for line in self.lines)

    @property
    def summary(self) -> str:
        """The plot in words, for screen readers."""
        if not self.top:
            return f"{self.title}: nothing in {self.period}"
        parts = [f"{line.name} {self._newest(line)}, at most {self.as_text(line.maximum)}" for line in self.lines]
        return f"{self.title} in {self.period}: " + "; ".join(parts)

    def _newest(self, line: PlotLine) -> str:
        value = self.as_text(line.newest) if line.newest is not None else "none"
        return f"{value} {self.newest_step}"

    def strokes(self, line: PlotLine) -> list[str]:
        """Return *line* as the points of SVG polylines. Each gap in the values begins a new one."""
        strokes: list[list[str]] = [[]]
        step = WIDTH / max(len(line.values) - 1, 1)
        for minute, value in enumerate(line.values):
            if value is None:
                strokes.append([])
                continue
            height = (HEIGHT - 2 * STROKE_WIDTH) * (value / self.top if self.top else 0)
            strokes[-1].append(f"{minute * step:.1f},{HEIGHT - STROKE_WIDTH - height:.1f}")
        return [" ".join(_visible(points)) for points in strokes if points]


def _visible(points: list[str]) -> list[str]:
    """Make a single point a short line, because a polyline of one point is invisible."""
    if len(points) > 1:
        return points
    x, _, y = points[0].partition(",")
    return [points[0], f"{float(x) + STROKE_WIDTH:.1f},{y}"]
