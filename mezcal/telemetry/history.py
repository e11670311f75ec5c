"""The last hour of the whole installation, minute by minute, for whoever looks at the operator's page.

Every process adds what it counted to one hash of Redis per minute, some seconds late; nothing of this is on the
path of a request or a job. While Redis is away the counts wait in memory, and go to the minute of its return.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.multiprocess import collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

    from mezcal.jobs import MinuteCounts

log = logging.getLogger(__name__)

MINUTES = 60
TOLD_EVERY = 10.0  # seconds
WAITED = {"miss", "join", "late"}  # outcomes of requests that waited for a job
REQUESTS = ("mezcal_requests", "mezcal_request_seconds")  # what API processes count
JOBS = ("mezcal_jobs", "mezcal_job_seconds")  # what workers count


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something took in one minute: *count* times, *seconds* together; *buckets* by their upper ends."""

    count: int = 0
    seconds: float = 0.0
    buckets: dict[float, int] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """Seconds; None where nothing was timed."""
        return self.seconds / self.count if self.count else None

    def quantile(self, part: float) -> float | None:
        """Seconds that *part* (0 to 1) of them stayed below, as exactly as the buckets tell; None without any.

        What lies above the last bucket is told as its upper end.
        """
        before, left = 0.0, part * sum(self.buckets.values())
        if not left:
            return None
        for end, count in sorted(self.buckets.items()):
            if count >= left:
                return before if end == float("inf") else before + (end - before) * left / count
            left -= count
            before = end if end < float("inf") else before
        return before


@dataclass(frozen=True, slots=True)
class Minute:
    """What the installation did in the minute that began at *at* (seconds since 1970).

    *requests* by outcome as the metric `mezcal_requests_total` has them, *jobs* as `mezcal_jobs_total`; *waits* of
    misses and joins, *conversions* from a job's begin to its derivative in the store.
    """

    at: int
    requests: dict[str, int]
    jobs: dict[str, int]
    waits: Latency
    conversions: Latency

    @property
    def hits(self) -> int:
        """Images served from the store."""
        return self.requests.get("hit", 0) + self.requests.get("stale", 0)

    @property
    def misses(self) -> int:
        """Requests for images that had to be made: those that started a job, joined one, or did not see its end."""
        return sum(self.requests.get(outcome, 0) for outcome in WAITED)

    @property
    def errors(self) -> int:
        """Requests that were refused."""
        return self.requests.get("error", 0)

    @property
    def failures(self) -> int:
        """Turns of jobs that ended without a derivative, for whatever reason but an orderly one."""
        return sum(self.jobs.get(outcome, 0) for outcome in ("failed", "lost", "ended"))


def last_hour(counts: MinuteCounts, now: float | None = None) -> list[Minute]:
    """The last sixty minutes, the oldest first, the current one last; a minute without counts is there, with none.

    One round trip. Raises `BrokerDown`.
    """
    last = int(time.time() if now is None else now) // 60
    numbers = range(last - MINUTES + 1, last + 1)
    return [_minute(number * 60, fields) for number, fields in zip(numbers, counts.read(numbers), strict=True)]


def _minute(at: int, fields: dict[str, int]) -> Minute:
    def named(what: str) -> dict[str, int]:
        return {name.partition(":")[2]: count for name, count in fields.items() if name.startswith(f"{what}:")}

    def latency(what: str) -> Latency:
        buckets = {float(end): count for end, count in named(f"{what}_below").items()}
        return Latency(sum(buckets.values()), fields.get(f"{what}_ms", 0) / 1000, buckets)

    return Minute(at, named("requests"), named("jobs"), latency("wait"), latency("work"))


class MinuteRecorder:
    """Adds to the hour what *counted* has grown by; called every `TOLD_EVERY` seconds or so, by one thread."""

    def __init__(self, counts: MinuteCounts, counted: Callable[[], Iterable[Metric]]) -> None:
        self._counts, self._counted = counts, counted
        self._before = totals(counted())
        self._at = time.monotonic()

    def tell(self) -> None:
        """Add what is new. Never raises for Redis: what could not be told is told with the next."""
        now = totals(self._counted())
        grown = {name: value - self._before.get(name, 0) for name, value in now.items()}
        grown = {name: value for name, value in grown.items() if value > 0}
        try:
            if grown:
                self._counts.add(int(time.time()) // 60, grown)
        except BrokerDown as error:
            log.debug("the last minutes' counts are told later: %s", error)
        else:
            self._before = now

    def tell_if_due(self) -> None:
        """As `tell`, unless it was done some seconds ago."""
        if time.monotonic() - self._at >= TOLD_EVERY:
            self._at = time.monotonic()
            self.tell()


def tell_requests(counts: MinuteCounts) -> None:
    """Tell of the requests that this process counts, from a thread, for as long as it lives."""
    told = MinuteRecorder(counts, lambda: [one for one in metrics().registry.collect() if one.name in REQUESTS])

    def keep_telling() -> None:
        while True:
            time.sleep(TOLD_EVERY)
            told.tell()

    threading.Thread(target=keep_telling, name="hour", daemon=True).start()


def of_jobs(counts: MinuteCounts) -> MinuteRecorder:
    """Tells of the jobs that this worker's processes count, those that have died included."""
    return MinuteRecorder(counts, lambda: [one for one in collected() if one.name in JOBS])


def totals(counted: Iterable[Metric]) -> dict[str, int]:
    """What of *counted* the hour keeps, as fields of its hashes: whole numbers, seconds as milliseconds."""
    summed: dict[str, float] = {}
    for metric in counted:
        for name, value in _fields(metric):
            summed[name] = summed.get(name, 0) + value
    return {name: round(value) for name, value in summed.items()}


def _fields(metric: Metric) -> Iterable[tuple[str, float]]:
    match metric.name:
        case "mezcal_requests" | "mezcal_jobs":
            what = metric.name.removeprefix("mezcal_")
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    yield f"{what}:{sample.labels['outcome']}", sample.value
        case "mezcal_request_seconds":
            yield from _latency("wait", [one for one in metric.samples if one.labels.get("outcome") in WAITED])
        case "mezcal_job_seconds":
            yield from _latency("work", metric.samples)


def _latency(what: str, samples: list[Sample]) -> Iterable[tuple[str, float]]:
    """Each bucket's own count: those of a histogram hold the smaller ones', in the order of their ends."""
    below: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        if sample.name.endswith("_sum"):
            yield f"{what}_ms", sample.value * 1000
        elif sample.name.endswith("_bucket"):
            series = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            yield f"{what}_below:{float(sample.labels['le']):g}", sample.value - below.get(series, 0)
            below[series] = sample.value
