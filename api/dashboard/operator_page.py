"""The operator's page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Self

from flask import request

from api.dashboard import health, job_overview
from api.dashboard.cache_figures import CacheFigures
from api.dashboard.gallery import Galleries
from api.dashboard.plots import Plot, PlotLine
from api.responses import html
from api.responses.readable_text import per_minute, readable_duration
from mezcal.errors import BrokerDown
from mezcal.telemetry.history import last_hour

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.context import ApiContext
    from mezcal.jobs import QueueStatus
    from mezcal.telemetry.history import Minute

REFRESH_SECONDS = 10
SLOW = 0.95  # quantile: one of twenty took longer than the plots' "slow" line


@dataclass(frozen=True, slots=True)
class OperatorPage:
    """All that the page shows. *result* says what the last form did."""

    components: list[health.ComponentHealth]
    queue: QueueStatus | None
    running: list[job_overview.JobProgress]
    failures: job_overview.FailureOverview | None
    galleries: Galleries
    cache: CacheFigures
    plots: list[Plot]
    minutes: list[Minute]
    csrf_token: str
    result: str | None
    signed_in: bool

    @classmethod
    def of(cls, context: ApiContext, csrf_token: str, result: str | None) -> Self:
        """Collect what the page shows now. What cannot be reached is left out and shown as down."""
        reachable = _broker_answers(context)  # asked once: each question to a frozen broker costs two seconds
        minutes = _whole_minutes(context) if reachable else []
        return cls(
            components=health.components(context),
            queue=job_overview.queue(context) if reachable else None,
            running=job_overview.running_jobs(context) if reachable else [],
            failures=job_overview.failures(context) if reachable else None,
            galleries=Galleries.of(context) if reachable else Galleries(),
            cache=CacheFigures.of(context),
            plots=draw_plots(minutes),
            minutes=minutes,
            csrf_token=csrf_token,
            result=result,
            signed_in=bool(context.settings.api_tokens),
        )

    def html(self) -> str:
        """Return the page."""
        return html.render(
            "ops.html",
            shown=self,
            root=request.script_root,
            now=time.time(),
            refresh=REFRESH_SECONDS,
            version=metadata.version("mezcal"),
        )


def sign_in_html(error: str | None = None) -> str:
    """Return the sign-in form. *error* says why the last attempt failed."""
    return html.render("sign-in.html", root=request.script_root, error=error)


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


def _broker_answers(context: ApiContext) -> bool:
    try:
        context.jobs.broker.ping()
    except BrokerDown:
        return False
    return True


def _whole_minutes(context: ApiContext) -> list[Minute]:
    """Return the last hour without the current minute, whose low counts would look like a drop."""
    try:
        return last_hour(context.jobs.minutes)[:-1]
    except BrokerDown:
        return []
