"""Every metric that the processes of mezcal count, in one class. `gauges` has those that are read when asked for.

Code that records calls `metrics()`. `multiprocess` adds up the counts of several processes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from mezcal.telemetry.allocated_file import AllocatedFile

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable in which prometheus_client looks for the folder
WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)  # seconds; WAIT_SECONDS is 25 by default
WORK_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)  # JOB_TIME_LIMIT is 900


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """A metric as the documentation shows it; *name* is the one in `/metrics`."""

    name: str
    type: str
    text: str
    labels: tuple[str, ...]


class Metrics:
    """All counted metrics, with their help texts and labels.

    *kind* is the name of a profile, such as `mezzanine`, or `thumbnail`, or, of requests, `other`. *lane* is
    `interactive` or `bulk`. *failure* is a slug of `mezcal.errors`. No label has a value that a client chooses, so the
    number of time series is limited.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.definitions: list[MetricDefinition] = []
        self._define_requests()
        self._define_deliveries()
        self._define_jobs()
        self._define_work()

    def _define_requests(self) -> None:
        self.requests = self._counter(
            "mezcal_requests",
            "Requests answered. outcome: hit, stale, miss (started a job), join (waited for a job that existed), "
            "wait-expired (503, the job continues), accepted (202), over-share (429, the client has its CLIENT_SHARE), "
            "error, other. server: nginx, or api.",
            *("kind", "outcome", "status", "server"),
        )
        self.request_seconds = self._histogram(
            "mezcal_request_seconds",
            "Seconds from a request to its response, of requests that the API answered; nginx does not time its own "
            "hits. Misses and joins include the time that they waited for their job.",
            WAIT_BUCKETS,
            *("kind", "outcome"),
        )
        self.sent_bytes = self._counter(
            "mezcal_sent_bytes",
            "Bytes of images in responses, by the server that answered.",
            "kind",
            "outcome",
            "server",
        )
        self.request_failures = self._counter(
            "mezcal_request_failures", "Requests that were answered with a failure, by its class.", "failure"
        )
        self.waiting_requests = self._gauge("mezcal_waiting_requests", "Requests that wait for a job now.")
        self.active_requests = self._gauge("mezcal_active_requests", "Requests that Flask is answering now.")

    def _define_deliveries(self) -> None:
        self.deliveries = self._counter(
            "mezcal_deliveries",
            "Events and lists received over HTTP and from queues, each with one item or many. format: standard, "
            "fedora, s3, cloudevents, list (POST /jobs), and of queues fcrepo-uri, frames, auto (not recognized). "
            "outcome: accepted, duplicate (received before), ignored (no master), "
            "refused (by signature, token or login), malformed, too-large, unavailable (503: send it again), failed.",
            *("format", "outcome"),
        )
        self.delivered_items = self._counter(
            "mezcal_delivered_items", "Items of the events and lists that were accepted.", "format"
        )

    def _define_jobs(self) -> None:
        self.jobs = self._counter(
            "mezcal_jobs",
            "Attempts of jobs that ended. outcome: made, failed, delayed (another attempt follows), superseded (a "
            "newer request replaced it), process-died, timed-out (stopped after JOB_TIME_LIMIT).",
            *("kind", "lane", "outcome"),
        )
        self.job_failures = self._counter(
            "mezcal_job_failures", "Attempts of jobs that ended in a failure, by its class.", "kind", "failure"
        )
        self.queue_seconds = self._histogram(
            "mezcal_queue_seconds", "Seconds that a job was queued before a worker started it.", WORK_BUCKETS, "lane"
        )
        self.job_seconds = self._histogram(
            "mezcal_job_seconds",
            "Seconds from the start of a job until its derivative was stored.",
            WORK_BUCKETS,
            *("kind", "lane"),
        )
        self.revalidations = self._counter(
            "mezcal_revalidations",
            "Stored derivatives whose master was revalidated. outcome: unchanged, changed, outdated (made with other "
            "settings), gone, failed.",
            "outcome",
        )

    def _define_work(self) -> None:
        self.phase_seconds = self._histogram(
            "mezcal_phase_seconds",
            "Seconds of the phases of a job. phase: download (until the last byte), convert, store. Conversion starts "
            "with the first bytes of the master, so download and convert overlap.",
            WORK_BUCKETS,
            *("kind", "phase"),
        )
        self.master_bytes = self._counter("mezcal_master_bytes", "Bytes of masters that were converted.", "kind")
        self.master_digests = self._counter(
            "mezcal_master_digests",
            "Masters and the digests that their origin declares. outcome: matched, undeclared (it declares none), "
            "differed (each master is read once more then).",
            "outcome",
        )
        self.shared_downloads = self._counter(
            "mezcal_shared_downloads",
            "Derivatives that were made from a download for another one of the same masters.",
            "kind",
        )
        self.derivative_bytes = self._counter("mezcal_derivative_bytes", "Bytes of derivatives that were made.", "kind")
        self.pixels = self._counter("mezcal_derivative_pixels", "Pixels of derivatives that were made.", "kind")
        self.origin_responses = self._counter(
            "mezcal_origin_responses",
            "Responses of origins. status: the HTTP status, or unreachable, timeout.",
            *("origin", "status"),
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.definitions.append(MetricDefinition(f"{name}_total", "counter", text, labels))
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        self.definitions.append(MetricDefinition(name, "histogram", text, labels))
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.definitions.append(MetricDefinition(name, "gauge", text, labels))
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")


@cache
def metrics() -> Metrics:
    """Returns the metrics of this process; after a fork, each child counts its own."""
    return Metrics()


def count_in_folder(folder: Path) -> None:
    """Make this process and its children count in files in *folder*, so that each of them can read the sum.

    Called once, before anything is counted and before the first fork.
    """
    os.environ[FOLDER] = str(folder)
    values.MmapedDict = AllocatedFile  # type: ignore[assignment,attr-defined]
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    metrics.cache_clear()
    metrics()
