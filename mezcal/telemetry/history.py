"""The counts of the whole installation in each minute of the last hour, for the operator's page.

Every process adds its counts to one hash in Redis per minute, every ten seconds and not during a request or job.
While Redis cannot be reached the counts stay in memory; they are added to the minute in which Redis is back.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.multiprocess import collect_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

    from mezcal.jobs import MinuteCounts

log = logging.getLogger(__name__)

MINUTES = 60
RECORD_SECONDS = 10.0  # between two times that a process records its counts
WAITED = {"miss", "join", "wait-expired"}  # outcomes of requests that waited for a job
REQUEST_METRICS = ("mezcal_requests", "mezcal_request_seconds")  # counted by API processes
JOB_METRICS = ("mezcal_jobs", "mezcal_job_failures", "mezcal_job_seconds")  # counted by workers


@dataclass(frozen=True, slots=True)
class Latency:
    """Durations in one minute: *count* of them, *seconds* in all; *buckets* are counts by upper limit in seconds."""

    count: int = 0
    seconds: float = 0.0
    buckets: dict[float, int] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """The mean in seconds, None if nothing was measured."""
        return self.seconds / self.count if self.count else None

    def quantile(self, part: float) -> float | None:
        """Returns the quantile *part* (0 to 1) in seconds, interpolated in its bucket; None if nothing was measured.

        A quantile above the last limit is returned as that limit.
        """
        lower, left = 0.0, part * sum(self.buckets.values())
        if not left:
            return None
        for limit, count in sorted(self.buckets.items()):
            if count >= left:
                return lower if limit == float("inf") else lower + (limit - lower) * left / count
            left -= count
            lower = limit if limit < float("inf") else lower
        return lower


@dataclass(frozen=True, slots=True)
class Minute:
    """The counts of the minute that began at *at*, in seconds since 1970.

    *requests* and *jobs* are counts by outcome, as in `mezcal_requests_total` and `mezcal_jobs_total`. *waits* are the
    durations of misses and joins, *conversions* those from the start of a job until its derivative was stored.
    *failures_by_class* are the attempts that failed, by the class of the failure.
    """

    at: int
    requests: dict[str, int]
    jobs: dict[str, int]
    waits: Latency
    conversions: Latency
    failures_by_class: dict[str, int] = field(default_factory=dict)

    @property
    def hits(self) -> int:
        """Requests served from the store."""
        return self.requests.get("hit", 0) + self.requests.get("stale", 0)

    @property
    def misses(self) -> int:
        """Requests that had to wait for a job, including those that waited too long."""
        return sum(self.requests.get(outcome, 0) for outcome in WAITED)

    @property
    def errors(self) -> int:
        """Requests answered with an error."""
        return self.requests.get("error", 0)

    @property
    def failures(self) -> int:
        """Attempts that failed, including those whose process died or was stopped."""
        return sum(self.jobs.get(outcome, 0) for outcome in ("failed", "process-died", "timed-out"))


def last_hour(counts: MinuteCounts, now: float | None = None) -> list[Minute]:
    """Returns the last sixty minutes, the oldest first and the current one last, minutes without counts included.

    Takes one round trip to Redis. Raises `BrokerDown`.
    """
    last = int(time.time() if now is None else now) // 60
    return read_minutes(counts, range(last - MINUTES + 1, last + 1))


def read_minutes(counts: MinuteCounts, numbers: range) -> list[Minute]:
    """Returns the minutes with these numbers (since 1970), in one round trip to Redis. Raises `BrokerDown`."""
    return [_minute(number * 60, fields) for number, fields in zip(numbers, counts.read(numbers), strict=True)]


def _minute(at: int, fields: dict[str, int]) -> Minute:
    def counts_of(group: str) -> dict[str, int]:
        return {name.partition(":")[2]: count for name, count in fields.items() if name.startswith(f"{group}:")}

    def latency(group: str) -> Latency:
        buckets = {float(limit): count for limit, count in counts_of(f"{group}_below").items()}
        return Latency(sum(buckets.values()), fields.get(f"{group}_ms", 0) / 1000, buckets)

    return Minute(at, counts_of("requests"), counts_of("jobs"), latency("wait"), latency("work"), counts_of("failure"))


class MinuteRecorder:
    """Adds the growth of the metrics that *collect* returns to the current minute. For one thread only."""

    def __init__(self, counts: MinuteCounts, collect: Callable[[], Iterable[Metric]]) -> None:
        self._counts, self._collect = counts, collect
        self._recorded = totals(collect())
        self._recorded_at = time.monotonic()

    def record(self) -> None:
        """Add the new counts. If Redis cannot be reached, the next call adds them."""
        now = totals(self._collect())
        grown = {name: value - self._recorded.get(name, 0) for name, value in now.items()}
        grown = {name: value for name, value in grown.items() if value > 0}
        try:
            if grown:
                self._counts.add(int(time.time()) // 60, grown)
        except BrokerDown as error:
            log.debug("the counts of the last minutes are recorded later: %s", error)
        else:
            self._recorded = now

    def record_if_due(self) -> None:
        """Call `record` if the last call was RECORD_SECONDS ago."""
        if time.monotonic() - self._recorded_at >= RECORD_SECONDS:
            self._recorded_at = time.monotonic()
            self.record()


def record_requests(counts: MinuteCounts) -> None:
    """Start a thread that records the requests of this process, for as long as the process lives."""
    recorder = MinuteRecorder(counts, lambda: _named(metrics().registry.collect(), REQUEST_METRICS))

    def record_forever() -> None:
        while True:
            time.sleep(RECORD_SECONDS)
            recorder.record()

    threading.Thread(target=record_forever, name="history", daemon=True).start()


def job_recorder(counts: MinuteCounts) -> MinuteRecorder:
    """Returns a recorder of the jobs that all processes of this worker count, dead ones included."""
    return MinuteRecorder(counts, lambda: _named(collect_all(), JOB_METRICS))


def _named(collected: Iterable[Metric], names: tuple[str, ...]) -> list[Metric]:
    return [metric for metric in collected if metric.name in names]


def totals(collected: Iterable[Metric]) -> dict[str, int]:
    """Returns the fields that the history keeps of *collected*, as whole numbers; durations in milliseconds."""
    summed: dict[str, float] = {}
    for metric in collected:
        for name, value in _fields(metric):
            summed[name] = summed.get(name, 0) + value
    return {name: round(value) for name, value in summed.items()}


def _fields(metric: Metric) -> Iterable[tuple[str, float]]:
    match metric.name:
        case "mezcal_requests" | "mezcal_jobs":
            yield from _counts(metric.name.removeprefix("mezcal_"), "outcome", metric.samples)
        case "mezcal_job_failures":
            yield from _counts("failure", "failure", metric.samples)
        case "mezcal_request_seconds":
            yield from _latency("wait", [sample for sample in metric.samples if sample.labels.get("outcome") in WAITED])
        case "mezcal_job_seconds":
            yield from _latency("work", metric.samples)


def _counts(group: str, label: str, samples: list[Sample]) -> Iterable[tuple[str, float]]:
    """Yield the count of each value of *label*."""
    for sample in samples:
        if sample.name.endswith("_total"):
            yield f"{group}:{sample.labels[label]}", sample.value


def _latency(group: str, samples: list[Sample]) -> Iterable[tuple[str, float]]:
    """Yield the sum, and the count of each bucket alone: Prometheus' buckets include all smaller ones."""
    smaller: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        if sample.name.endswith("_sum"):
            yield f"{group}_ms", sample.value * 1000
        elif sample.name.endswith("_bucket"):
            series = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            yield f"{group}_below:{float(sample.labels['le']):g}", sample.value - smaller.get(series, 0)
            smaller[series] = sample.value
