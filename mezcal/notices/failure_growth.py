"""The classes of failures that grow, from the counts of the last two hours."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.telemetry.history import read_minutes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import MinuteCounts
    from mezcal.telemetry.history import Minute

HOUR = 60  # minutes
LEAST = 20  # failures of a class in an hour; half as many end what has begun
SHARE = 0.2  # of all attempts, as in the alarm of docs/metrics.md
GROWTH = 2  # times those of the hour before
# Answers to what a client asked for: no operator can mend them. An outage of the origin has a condition of its own.
OF_CLIENTS = {
    *("master-missing", "frame-missing", "frame-unfit", "no-such-section", "no-such-picture", "archive-refused"),
    *("ticket-expired", "master-forbidden"),
}
PASSING = {"origin-paused", "superseded", "share-exceeded", "busy"}
OF_OWN_CONDITION = {"master-damaged"}  # one is enough
NEVER_GROWING = OF_CLIENTS | PASSING | OF_OWN_CONDITION


@dataclass(frozen=True, slots=True)
class Growth:
    """A class of failures that grows: attempts that ended in it in the last hour, and in the hour before."""

    failure: str
    count: int
    before: int


def growing(counts: MinuteCounts, lasting: set[str], now: float | None = None) -> Iterator[Growth]:
    """Yield the classes that grow, and those of *lasting* that still have many. Raises `BrokerDown`."""
    last = int(time.time() if now is None else now) // 60
    minutes = read_minutes(counts, range(last - 2 * HOUR + 1, last + 1))
    before, hour = _by_class(minutes[:HOUR]), _by_class(minutes[HOUR:])
    attempts = sum(sum(minute.jobs.values()) for minute in minutes[HOUR:])
    for failure, count in sorted(hour.items()):
        grows = count >= LEAST and (count >= GROWTH * before[failure] or count >= SHARE * attempts)
        if failure not in NEVER_GROWING and (grows or (failure in lasting and count >= LEAST / 2)):
            yield Growth(failure, count, before[failure])


def in_last_hour(counts: MinuteCounts, failure: str, now: float | None = None) -> int:
    """Return how many attempts ended as *failure* in the last hour. Raises `BrokerDown`."""
    last = int(time.time() if now is None else now) // 60
    return _by_class(read_minutes(counts, range(last - HOUR + 1, last + 1)))[failure]


def _by_class(minutes: list[Minute]) -> Counter[str]:
    total = Counter[str]()
    for minute in minutes:
        total.update(minute.failures_by_class)
    return total
