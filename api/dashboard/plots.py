"""Small plots of the last hour as SVG: the server's own, so that no script and no style of theirs is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 240, 48  # units of the drawing
LINE = 2.0  # half of a line lies above its point: the plot leaves it room


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One series: *values*, one a minute, the oldest first; None where nothing was measured."""

    name: str
    values: Sequence[float | None]

    @property
    def newest(self) -> float | None:
        """The last value."""
        return self.values[-1] if self.values else None

    @property
    def most(self) -> float:
        """The largest value, 0 where nothing was measured."""
        return max((value for value in self.values if value is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Plot:
    """Several lines on one scale from 0; *told* writes a value with its unit."""

    title: str
    lines: Sequence[PlotLine]
    told: Callable[[float], str]

    @property
    def top(self) -> float:
        """The value at the upper edge."""
        return max(line.most for line in self.lines)

    @property
    def summary(self) -> str:
        """The plot in words, for those who do not see it."""
        if not self.top:
            return f"{self.title}: nothing in the last hour"
        said = [f"{line.name} {self._now(line)}, at most {self.told(line.most)}" for line in self.lines]
        return f"{self.title} in the last hour: " + "; ".join(said)

    def _now(self, line: PlotLine) -> str:
        return f"{self.told(line.newest)} in the last minute" if line.newest is not None else "none in the last minute"

    def strokes(self, line: PlotLine) -> list[str]:
        """*line* as the points of polylines: a new one after each gap."""
        found: list[list[str]] = [[]]
        step = WIDTH / max(len(line.values) - 1, 1)
        for place, value in enumerate(line.values):
            if value is None:
                found.append([])
                continue
            height = (HEIGHT - 2 * LINE) * (value / self.top if self.top else 0)
            found[-1].append(f"{place * step:.1f},{HEIGHT - LINE - height:.1f}")
        return [" ".join(_visible(points)) for points in found if points]


def _visible(points: list[str]) -> list[str]:
    """A single point is drawn as a short line: else there is nothing to see."""
    if len(points) > 1:
        return points
    x, _, y = points[0].partition(",")
    return [points[0], f"{float(x) + LINE:.1f},{y}"]
