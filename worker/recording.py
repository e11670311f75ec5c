"""What becomes known of each turn of a job: the one place that counts them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.progress import Progress
from mezcal.telemetry import metrics

if TYPE_CHECKING:
    from mezcal.errors import Failure
    from mezcal.jobs import Claim
    from mezcal.recipe import Recipe


@dataclass(slots=True)
class Turn:
    """One attempt at a claimed job: filled in while it goes on, noted at its end."""

    recipe: Recipe
    claim: Claim
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.monotonic)

    def end(self, outcome: str, failure: Failure | None = None) -> None:
        """Count it. *outcome* is one of `mezcal_jobs_total`'s."""
        counted, kind, lane = metrics(), self.recipe.kind, self.claim.lane
        seconds = time.monotonic() - self.began
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


def died(kind: str, lane: str, outcome: str) -> None:
    """Count a turn whose process has ended and tells nothing any more."""
    metrics().jobs.labels(kind, lane, outcome).inc()


def heard(origin: str, status: str) -> None:
    """Count an answer of an origin."""
    metrics().origin_answers.labels(origin, status).inc()


def revalidated(outcome: str) -> None:
    """Count an answer to whether a stored derivative's master has changed."""
    metrics().revalidations.labels(outcome).inc()
