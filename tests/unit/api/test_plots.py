"""Small plots: the drawing, and its summary for screen readers."""

from __future__ import annotations

import pytest

from api.dashboard.plots import HEIGHT, WIDTH, Plot, PlotLine
from api.responses.readable_text import per_minute, readable_duration


def plot(*values: float | None) -> Plot:
    return Plot("Jobs", [PlotLine("made", values)], per_minute)


def test_the_largest_value_touches_the_upper_edge_and_nothing_the_lower() -> None:
    (stroke,) = plot(0, 5, 10).strokes(PlotLine("made", [0, 5, 10]))
    points = [tuple(map(float, point.split(","))) for point in stroke.split()]
    assert points == [(0, HEIGHT - 2), (WIDTH / 2, HEIGHT / 2), (WIDTH, 2)]


def test_a_gap_in_the_values_is_a_gap_in_the_line() -> None:
    drawn = plot(1, 2)
    assert len(drawn.strokes(PlotLine("made", [1, 2, None, None, 3, 4]))) == 2
    assert drawn.strokes(PlotLine("made", [None, None])) == []


def test_a_single_value_can_be_seen() -> None:
    (stroke,) = plot(1).strokes(PlotLine("made", [None, 1.0, None]))
    assert len(stroke.split()) == 2


def test_the_summary_says_the_last_value_and_the_largest() -> None:
    assert plot(1, 30, 2).summary == "Jobs in the last hour: made 2 a minute in the last minute, at most 30 a minute"
    assert plot(30, None).summary.startswith("Jobs in the last hour: made none in the last minute")
    assert plot(0, 0).summary == "Jobs: nothing in the last hour"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 ms"), (0.0404, "40 ms"), (0.9994, "999 ms"), (0.9999, "1.0 s"), (3.21, "3.2 s"), (42, "42 s")),
        *((300, "5 min"), (7100, "118 min"), (9000, "2 h"), (200_000, "2 days")),
    ],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert readable_duration(seconds) == text
