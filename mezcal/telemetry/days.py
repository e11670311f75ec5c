"""The growth of the cache and its hit rate by day (UTC), for the operator's page.

One worker adds the minutes of `history` to their days every ten minutes. Minutes are kept for two hours: what was
counted while no worker ran for longer is missing.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.telemetry.history import read_minutes

if TYPE_CHECKING:
    from mezcal.jobs import DayCounts, Jobs
    from mezcal.store.usage import Usage

DAY = 1440  # minutes
SHOWN_DAYS = 400
CHANGING = 2  # minutes whose counts may still grow, the current one included
READABLE = 115  # minutes that have not expired while they are read


@dataclass(frozen=True, slots=True)
class Day:
    """The counts of one day, *at* seconds since 1970. *images* and *bytes* are of the cache, at the end of the day."""

    at: int
    hits: int
    misses: int
    failures: int
    images: int | None
    bytes: int | None

    @property
    def hit_rate(self) -> float | None:
        """The share of requests that were served from the cache, None without any request."""
        requests = self.hits + self.misses
        return self.hits / requests if requests else None


def count_minutes(jobs: Jobs, now: float) -> None:
    """Add the minutes that have ended, and are not added yet, to their days. Raises `BrokerDown`."""
    known, end = jobs.days.counted_minutes(), int(now) // 60 + 1 - CHANGING
    first = max(known, end - READABLE)
    days: dict[int, Counter[str]] = {}
    for minute in read_minutes(jobs.minutes, range(first, end)):
        counted = Counter(hits=minute.hits, misses=minute.misses, failures=minute.failures)
        if counted.total():
            days.setdefault(minute.at // 60 // DAY, Counter()).update(counted)
    if first < end:
        jobs.days.add(known, end, days)


def record_size(days: DayCounts, usage: Usage, now: float) -> None:
    """Record the size of the cache as that of today. Raises `BrokerDown`."""
    days.set(int(now) // 60 // DAY, {"images": usage.derivatives, "bytes": usage.bytes})


def last_days(counts: DayCounts, now: float | None = None) -> list[Day]:
    """Returns the days since the first one with counts, 400 at most, today last. Raises `BrokerDown`."""
    today = int(time.time() if now is None else now) // 60 // DAY
    numbers = range(today - SHOWN_DAYS + 1, today + 1)
    days = [(number, fields) for number, fields in zip(numbers, counts.read(numbers), strict=True)]
    first = next((place for place, (_, fields) in enumerate(days) if fields), len(days))
    return [_day(number, fields) for number, fields in days[first:]]


def _day(number: int, fields: dict[str, int]) -> Day:
    hits, misses, failures = (fields.get(name, 0) for name in ("hits", "misses", "failures"))
    return Day(number * DAY * 60, hits, misses, failures, fields.get("images"), fields.get("bytes"))
