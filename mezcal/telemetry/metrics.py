"""Every metric that mezcal's processes count, in one class; `house` has those that are looked up when asked for.

Whoever records knows only `metrics()`. The numbers of several processes meet in a folder, see `shared`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the name under which prometheus_client itself looks for the folder
WAITS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)  # seconds; 25 is WAIT_SECONDS' default
WORK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)  # 900 is JOB_TIME_LIMIT's


class Metrics:
    """All of them, each with what it counts and its labels.

    *kind* is `mezzanine`, `thumbnail` or, of requests, `other`; *lane* is `interactive` or `bulk`; *failure* is a
    slug of `errors`. No label holds what a client chooses, so their number is bounded.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._of_requests()
        self._of_events()
        self._of_jobs()
        self._of_work()

    def _of_requests(self) -> None:
        self.requests = self._counter(
            "mezcal_requests",
            "Requests answered. outcome: hit, stale, miss, join, late (503, the job goes on), accepted (202), error, "
            "other. server: loop (the API's event loop), thread (its application), nginx (the front).",
            *("kind", "outcome", "status", "server"),
        )
        self.request_seconds = self._histogram(
            "mezcal_request_seconds",
            "Seconds from a request to its answer, of requests that the application answered: what hits the event "
            "loop and nginx answer is not timed. Misses and joins waited for their job.",
            WAITS,
            *("kind", "outcome"),
        )
        self.sent_bytes = self._counter(
            "mezcal_sent_bytes", "Bytes of images in answers, by who sent them.", "kind", "outcome", "server"
        )
        self.refusals = self._counter(
            "mezcal_refusals", "Requests that were answered with a failure, by its class.", "failure"
        )
        self.waiting = self._gauge("mezcal_waiting_requests", "Requests that are being answered by threads now.")

    def _of_events(self) -> None:
        self.deliveries = self._counter(
            "mezcal_deliveries",
            "Events and lists that came over HTTP, each with one item or many. form: standard, fedora, s3, "
            "cloudevents, list (POST /jobs). outcome: accepted, again (it came before), nothing (nothing follows from "
            "it), refused (by signature, token or login), malformed, too-large, unavailable (503: to be sent again), "
            "failed.",
            *("form", "outcome"),
        )
        self.delivered_items = self._counter(
            "mezcal_delivered_items", "Items of the events and lists that were accepted.", "form"
        )

    def _of_jobs(self) -> None:
        self.jobs = self._counter(
            "mezcal_jobs",
            "Attempts at jobs that ended. outcome: made, failed, delayed (another attempt follows), superseded, lost "
            "(its process died), ended (its process was ended for taking too long).",
            *("kind", "lane", "outcome"),
        )
        self.job_failures = self._counter(
            "mezcal_job_failures", "Turns of jobs that ended in a failure, by its class.", "kind", "failure"
        )
        self.queue_seconds = self._histogram(
            "mezcal_queue_seconds", "Seconds that a job was queued before a worker began it.", WORK, "lane"
        )
        self.job_seconds = self._histogram(
            "mezcal_job_seconds", "Seconds from a job's begin to its derivative in the store.", WORK, "kind", "lane"
        )
        self.revalidations = self._counter(
            "mezcal_revalidations",
            "Stored derivatives whose master was asked about. outcome: unchanged, changed, outdated (made by other "
            "settings), gone, failed.",
            "outcome",
        )

    def _of_work(self) -> None:
        self.phase_seconds = self._histogram(
            "mezcal_phase_seconds",
            "Seconds of a job's phases. phase: download (until the last byte), convert, store. Conversion begins "
            "with the master's first bytes, so download and convert overlap.",
            WORK,
            *("kind", "phase"),
        )
        self.master_bytes = self._counter("mezcal_master_bytes", "Bytes of masters that were converted.", "kind")
        self.derivative_bytes = self._counter("mezcal_derivative_bytes", "Bytes of derivatives that were made.", "kind")
        self.pixels = self._counter("mezcal_derivative_pixels", "Pixels of derivatives that were made.", "kind")
        self.origin_answers = self._counter(
            "mezcal_origin_answers",
            "Answers of origins. status: the HTTP status, or unreachable, timeout.",
            *("origin", "status"),
        )
        self.lines_dropped = self._counter(
            "mezcal_log_lines_dropped", "Lines of the access log that nobody took in time, and were dropped."
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")


@cache
def metrics() -> Metrics:
    """The metrics of this process, and after a fork those of each child."""
    return Metrics()


def share_metrics(folder: Path) -> None:
    """Have this process and its children count in files in *folder*, so that any of them can tell the sum.

    Called once, before anything is counted and before the first fork.
    """
    os.environ[FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    metrics.cache_clear()
    metrics()
