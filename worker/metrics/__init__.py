"""What becomes known of each turn of a job: the one place that counts them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.progress import Progress
from mezcal.telemetry.metrics import metrics

if TYPE_CHECKING:
    from mezcal.errors import Failure
    from mezcal.jobs import Claim
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(slots=True)
class JobAttempt:
    """One attempt at a claimed job: filled in while it goes on, noted at its end."""

    recipe: Recipe
    claim: Claim
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.monotonic)

    def end(self, outcome: str, failure: Failure | None = None) -> None:
        """Count it. *outcome* is one of `mezcal_jobs_total`'s."""
        counted, kind, lane = metrics(), self.recipe.kind, self.claim.lane
        seconds = time.monotonic() - self.began
        self._log(outcome, seconds, failure)
        counted.jobs.labels(kind, lane, outcome).inc()
        counted.queue_seconds.labels(lane).observe(self.claim.waited)
        if failure is not None:
            counted.job_failures.labels(kind, failure.slug).inc()
        for phase, taken in self.progress.phases.items():
            counted.phase_seconds.labels(kind, phase).observe(taken)
        if outcome == "made":
            counted.job_seconds.labels(kind, lane).observe(seconds)
        if self.progress.made is not None:
            counted.master_bytes.labels(kind).inc(self.progress.made.master_size or 0)
            counted.derivative_bytes.labels(kind).inc(self.progress.made.size)
            counted.pixels.labels(kind).inc(self.progress.made.width * self.progress.made.height)

    def _log(self, outcome: str, seconds: float, failure: Failure | None) -> None:
        made, phases = self.progress.made, self.progress.phases
        fields = {
            "key": self.recipe.key,
            "path": self.recipe.label,
            "kind": self.recipe.kind,
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
        }
        log.info("job", extra={"fields": fields})


def count_lost_attempt(recipe: Recipe, lane: str, outcome: str) -> None:
    """Count a turn whose process has ended and tells nothing any more."""
    metrics().jobs.labels(recipe.kind, lane, outcome).inc()
    told = {"key": recipe.key, "path": recipe.label, "kind": recipe.kind, "lane": lane, "outcome": outcome}
    log.error("job", extra={"fields": told})


def count_origin_response(origin: str, status: str) -> None:
    """Count an answer of an origin."""
    metrics().origin_responses.labels(origin, status).inc()


def count_revalidation(outcome: str) -> None:
    """Count an answer to whether a stored derivative's master has changed."""
    metrics().revalidations.labels(outcome).inc()
