"""The plots of the operator's page: the last hour by minute, and the days since the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.dashboard.plots import Plot, PlotLine
from api.responses.readable_text import per_minute, readable_duration, readable_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.telemetry.days import Day
    from mezcal.telemetry.history import Minute

SLOW = 0.95  # quantile: one of twenty took longer than the plots' "slow" line


def draw_plots(minutes: list[Minute]) -> list[Plot]:
    """Return the plots of *minutes*, none if there are no minutes."""
    if not minutes:
        return []

    def plot(title: str, as_text: Callable[[float], str], **lines: Callable[[Minute], float | None]) -> Plot:
        series = [PlotLine(name, [value(minute) for minute in minutes]) for name, value in lines.items()]
        return Plot(title, series, as_text)

    return [
        plot("Cache hits", per_minute, served=lambda minute: minute.hits),
        plot("Cache misses", per_minute, accepted=_misses, rejected=lambda minute: minute.errors),
        plot("Waiting time", readable_duration, median=lambda minute: minute.waits.quantile(0.5), slow=_slow_wait),
        plot("Jobs", per_minute, done=lambda minute: minute.jobs.get("made", 0), failed=lambda minute: minute.failures),
        plot("Job duration", readable_duration, median=_median_job, slow=_slow_job),
    ]


def _misses(minute: Minute) -> float:
    return minute.misses


def _slow_wait(minute: Minute) -> float | None:
    return minute.waits.quantile(SLOW)


def _median_job(minute: Minute) -> float | None:
    return minute.conversions.quantile(0.5)


def _slow_job(minute: Minute) -> float | None:
    return minute.conversions.quantile(SLOW)


def draw_days(days: list[Day]) -> list[Plot]:
    """Return the plots of *days*, none if there are no days."""
    if not days:
        return []
    period = f"the last {len(days)} days" if len(days) > 1 else "one day"

    def plot(title: str, as_text: Callable[[float], str], name: str, value: Callable[[Day], float | None]) -> Plot:
        return Plot(title, [PlotLine(name, [value(day) for day in days])], as_text, period, "on the last day")

    return [
        plot("Images in the cache", _number, "images", lambda day: day.images),
        plot("Size of the cache", _size, "size", lambda day: day.bytes),
        plot("Served from the cache", _percent, "hit rate", lambda day: day.hit_rate),
        plot("Failed attempts", _a_day, "failed", lambda day: day.failures),
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _size(value: float) -> str:
    return readable_size(int(value))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _a_day(value: float) -> str:
    return f"{value:,.0f} a day"
