"""The operator's page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Self

from flask import request

from api.dashboard import health, job_overview
from api.dashboard.cache_figures import CacheFigures
from api.dashboard.folder_view import has_folders
from api.dashboard.gallery import Galleries
from api.dashboard.history_plots import draw_days, draw_plots
from api.dashboard.needs import needs
from api.responses import html
from mezcal.downstream.report import hook_reports
from mezcal.errors import BrokerDown
from mezcal.telemetry.days import last_days
from mezcal.telemetry.history import last_hour

if TYPE_CHECKING:
    from api.context import ApiContext
    from api.dashboard.plots import Plot
    from mezcal.downstream.report import HookReport
    from mezcal.jobs import QueueStatus
    from mezcal.notices.rounds import KnownCondition
    from mezcal.telemetry.days import Day
    from mezcal.telemetry.history import Minute

REFRESH_SECONDS = 10


@dataclass(frozen=True, slots=True)
class OperatorPage:
    """All that the page shows. *result* says what the last form did."""

    needs: list[KnownCondition]
    components: list[health.ComponentHealth]
    queue: QueueStatus | None
    delayed: list[str]
    running: list[job_overview.JobProgress]
    failures: job_overview.FailureOverview | None
    galleries: Galleries
    cache: CacheFigures
    plots: list[Plot]
    minutes: list[Minute]
    day_plots: list[Plot]
    days: list[Day]
    csrf_token: str
    result: str | None
    signed_in: bool
    folders: bool
    downstream: list[HookReport]

    @classmethod
    def of(cls, context: ApiContext, csrf_token: str, result: str | None) -> Self:
        """Collect what the page shows now. What cannot be reached is left out and shown as down."""
        reachable = _broker_answers(context)  # asked once: each question to a frozen broker costs two seconds
        minutes = _whole_minutes(context) if reachable else []
        days = _days(context) if reachable else []
        return cls(
            needs=needs(context),
            components=health.components(context),
            queue=job_overview.queue(context) if reachable else None,
            delayed=job_overview.delay_reasons(context) if reachable else [],
            running=job_overview.running_jobs(context) if reachable else [],
            failures=job_overview.failures(context) if reachable else None,
            galleries=Galleries.of(context) if reachable else Galleries(),
            cache=CacheFigures.of(context),
            plots=draw_plots(minutes),
            minutes=minutes,
            day_plots=draw_days(days),
            days=days,
            csrf_token=csrf_token,
            result=result,
            signed_in=bool(context.settings.api_tokens),
            folders=has_folders(context),
            downstream=hook_reports(context.jobs, context.settings) if reachable else [],
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


def _days(context: ApiContext) -> list[Day]:
    try:
        return last_days(context.jobs.days)
    except BrokerDown:
        return []
