"""The operator's page as HTML, from values alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Self

from markupsafe import Markup

from api.dashboard import gallery, plots
from api.dashboard import health as parts
from api.dashboard import overview as looked
from api.responses import pages
from mezcal.errors import BrokerDown, Failure
from mezcal.telemetry.history import last_hour

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

    from api.context import ApiContext
    from mezcal.jobs import QueueStatus
    from mezcal.telemetry.history import Minute

REFRESH_SECONDS = 10
SLOW = 0.95  # one of twenty took longer than what is called slow


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """How full the store is, and the *bound* to which it may grow, all but one in bytes; None where it is unknown, or
    there is none.
    """

    derivatives: int | None
    bytes: int | None
    free_bytes: int | None
    bound: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    """All that the page shows; *csrf_token* goes into its forms, *result* says what the last one did."""

    parts: list[parts.ComponentHealth]
    queue: QueueStatus | None
    running: list[looked.Running]
    failures: looked.Failures | None
    newest: list[gallery.GalleryItem]
    largest: list[gallery.GalleryItem]
    cache: CacheFigures
    plots: list[plots.Plot]
    minutes: list[Minute]
    csrf_token: str
    result: str | None
    signed_in: bool

    @classmethod
    def of(cls, desk: ApiContext, csrf_token: str, result: str | None) -> Self:
        """What there is to show now; what cannot be reached is left out, and said to be down."""
        reached = _reached(desk)  # asked once: a frozen broker costs two seconds each time
        minutes = _minutes(desk) if reached else []
        return cls(
            parts=parts.parts(desk),
            queue=looked.queue(desk) if reached else None,
            running=looked.running(desk) if reached else [],
            failures=looked.failures(desk) if reached else None,
            newest=gallery.newest(desk) if reached else [],
            largest=gallery.largest(desk) if reached else [],
            cache=_cache(desk),
            plots=drawn(minutes),
            minutes=minutes,
            csrf_token=csrf_token,
            result=result,
            signed_in=bool(desk.settings.api_tokens),
        )


def overview(shown: Shown, root: str) -> str:
    """The page; all addresses begin with *root*, under which the service is mounted."""
    page = _environment().get_template("ops.html")
    return page.render(shown=shown, root=root, now=time.time(), refresh=REFRESH_SECONDS)


def sign_in(root: str, wrong: str | None = None) -> str:
    """The way in; *wrong* says why the last try was none."""
    return _environment().get_template("sign-in.html").render(root=root, wrong=wrong)


def drawn(minutes: list[Minute]) -> list[plots.Plot]:
    """The plots of these minutes; none where nothing is known of them."""
    if not minutes:
        return []

    def plot(title: str, told: Callable[[float], str], **lines: Callable[[Minute], float | None]) -> plots.Plot:
        found = [
            plots.PlotLine(name.replace("_", " "), [value(one) for one in minutes]) for name, value in lines.items()
        ]
        return plots.Plot(title, found, told)

    return [
        plot("Images from the cache", per_minute, served=lambda one: one.hits),
        plot("Images to be made", per_minute, asked_for=lambda one: one.misses, refused=lambda one: one.errors),
        plot("Wait for one", duration, median=lambda one: one.waits.quantile(0.5), slow=_slow_wait),
        plot("Jobs", per_minute, made=lambda one: one.jobs.get("made", 0), failed=lambda one: one.failures),
        plot("Making one", duration, median=lambda one: one.conversions.quantile(0.5), slow=_slow_making),
    ]


def _slow_wait(minute: Minute) -> float | None:
    return minute.waits.quantile(SLOW)


def _slow_making(minute: Minute) -> float | None:
    return minute.conversions.quantile(SLOW)


def _reached(desk: ApiContext) -> bool:
    try:
        desk.jobs.broker.ping()
    except BrokerDown:
        return False
    return True


def _minutes(desk: ApiContext) -> list[Minute]:
    """The whole minutes of the last hour: the current one is not over, and would look like a fall."""
    try:
        return last_hour(desk.jobs.minutes)[:-1]
    except BrokerDown:
        return []


def _cache(desk: ApiContext) -> CacheFigures:
    bound = desk.settings.cache_max_bytes or None
    try:
        use, free = desk.store.usage(), desk.store.free_bytes()
    except Failure:
        return CacheFigures(None, None, None, bound)
    return CacheFigures(use.derivatives if use else None, use.bytes if use else None, free, bound)


# --- words


def per_minute(value: float) -> str:
    """*value* a minute, for people."""
    return f"{value:,.0f} a minute"


def duration(seconds: float) -> str:
    """*seconds* for people: `40 ms`, `3.2 s`, `5 min`, `2 h`, `3 days`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for size, unit, until in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def moment(seconds: float) -> str:
    """A time since 1970 as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@cache
def _environment() -> Environment:
    made = pages.environment().overlay()
    made.filters |= {"duration": duration, "moment": moment}
    made.globals |= {
        "ops_style": Markup(pages.asset("ops.css")),  # noqa: S704 - our own file
        "ops_script": Markup(pages.asset("ops.js")),  # noqa: S704 - our own file
        "version": metadata.version("mezcal"),
    }
    return made
