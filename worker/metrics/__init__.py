"""Counts and logs the attempts of jobs, the answers of origins, and revalidations."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.http import send_trace_parent
from mezcal.progress import Progress
from mezcal.telemetry import tracing
from mezcal.telemetry.metrics import metrics
from mezcal.telemetry.spans import Span, begin_job

if TYPE_CHECKING:
    from mezcal.errors import Failure
    from mezcal.jobs import Claim
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(slots=True)
class JobAttempt:
    """One attempt at a claimed job. *progress* is filled in while it runs."""

    recipe: Recipe
    claim: Claim
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.monotonic)
    span: Span | None = None

    def trace(self) -> JobAttempt:
        """Begin the span of this attempt; what this thread does from now on belongs to it. Returns the attempt."""
        current = tracing.current()
        self.span = begin_job(f"make {self.recipe.kind}", current.parent if current else None)
        if self.span is not None:
            tracing.set_current(tracing.Trace.of(current.request_id if current else None, self.span.traceparent))
            send_trace_parent(self.span.traceparent)
            self.span.add_part("queued", self.began - self.claim.waited, self.began)
        return self

    @property
    def shares_download(self) -> bool:
        """True if the derivative was made from masters that were downloaded for another job."""
        return (self.claim.is_companion or self.progress.shares_download) and self.progress.made is not None

    def end(self, outcome: str, failure: Failure | None = None) -> None:
        """Count and log the attempt. *outcome* is a value of the label `outcome` of `mezcal_jobs_total`."""
        counters, kind, lane = metrics(), self.recipe.profile_name, self.claim.lane
        seconds = time.monotonic() - self.began
        self._log(outcome, seconds, failure)
        self._end_span(outcome, failure)
        counters.jobs.labels(kind, lane, outcome).inc()
        counters.queue_seconds.labels(lane).observe(self.claim.waited)
        if failure is not None:
            counters.job_failures.labels(kind, failure.slug).inc()
        for phase, taken in self.progress.phases.items():
            counters.phase_seconds.labels(kind, phase).observe(taken)
        if outcome == "made":
            counters.job_seconds.labels(kind, lane).observe(seconds)
        counters.master_digests.labels("differed").inc(self.progress.differing)
        if self.progress.made is not None:
            counters.master_digests.labels("matched" if self.progress.made.master_digest else "undeclared").inc()
            counters.master_bytes.labels(kind).inc(self.progress.made.master_size or 0)
            counters.shared_downloads.labels(kind).inc(int(self.shares_download))
            counters.derivative_bytes.labels(kind).inc(self.progress.made.size)
            counters.pixels.labels(kind).inc(self.progress.made.width * self.progress.made.height)

    def _end_span(self, outcome: str, failure: Failure | None) -> None:
        if self.span is None:
            return
        send_trace_parent(None)
        made = self.progress.made
        for phase, (began, ended) in self.progress.spans.items():
            self.span.add_part(phase, began, ended)
        attributes = {
            "mezcal.key": self.recipe.key,
            "mezcal.lane": str(self.claim.lane),
            "mezcal.attempt": self.claim.attempt,
            "mezcal.outcome": outcome,
            "mezcal.master_bytes": made.master_size if made else None,
            "mezcal.bytes": made.size if made else None,
            "error.type": failure.slug if failure else None,
        }
        self.span.end(attributes, failure.slug if failure else None)

    def _log(self, outcome: str, seconds: float, failure: Failure | None) -> None:
        made, phases = self.progress.made, self.progress.phases
        fields = {
            "key": self.recipe.key,
            "path": self.recipe.label,
            "kind": self.recipe.profile_name,
            "lane": str(self.claim.lane),
            "attempt": self.claim.attempt,
            "outcome": outcome,
            "failure": failure.slug if failure else None,
            "detail": failure.detail if failure else None,
            "queued_ms": round(self.claim.waited * 1000),
            "ms": round(seconds * 1000, 1),
            "phases": {phase: round(taken * 1000, 1) for phase, taken in phases.items()} or None,
            "master_bytes": made.master_size if made else None,
            "bytes": made.size if made else None,
            "pixels": made.width * made.height if made else None,
            "shared_download": self.shares_download or None,
        }
        log.info("job", extra={"fields": fields})


def count_lost_attempt(recipe: Recipe, lane: str, outcome: str) -> None:
    """Count and log an attempt whose pool process has ended."""
    metrics().jobs.labels(recipe.profile_name, lane, outcome).inc()
    fields = {"key": recipe.key, "path": recipe.label, "kind": recipe.profile_name, "lane": lane, "outcome": outcome}
    log.error("job", extra={"fields": fields})


def count_origin_response(origin: str, status: str) -> None:
    """Count a response of *origin*. *status* is the HTTP status, or `unreachable` or `timeout`."""
    metrics().origin_responses.labels(origin, status).inc()


def count_revalidation(outcome: str) -> None:
    """Count a revalidation. *outcome* is a value of the label of `mezcal_revalidations_total`."""
    metrics().revalidations.labels(outcome).inc()
