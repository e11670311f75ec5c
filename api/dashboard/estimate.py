"""A job's position in the queue, its progress, and an estimate of the time left."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from mezcal.jobs import JobState

if TYPE_CHECKING:
    from mezcal.jobs import Jobs, Record
    from mezcal.progress import Stage

FRACTION_MIN = 0.05  # below it, the time spent says little about the time left


@dataclass(frozen=True, slots=True)
class Estimate:
    """*place* is the position of a queued job, from 1; *stage* is the progress of a running one, *seconds* are left.

    Each is None if it does not apply or is unknown.
    """

    place: int | None = None
    stage: Stage | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, jobs: Jobs, record: Record) -> Self:
        """Estimate the job in *record*. Raises `BrokerDown`."""
        if record.state is JobState.QUEUED:
            return cls(place=jobs.place(record.key))
        if record.state is not JobState.RUNNING:
            return cls()
        stage = jobs.stage(record.key)
        return cls(stage=stage, seconds=_seconds_left(record, stage))

    def as_json(self) -> dict[str, Any]:
        """Return the fields that a job's JSON has in addition."""
        return {
            "place": self.place,
            "done": None if self.stage is None else round(fraction_done(self.stage), 3),
            "progress": asdict(self.stage) if self.stage else None,
            "estimate": None if self.seconds is None else round(self.seconds, 1),
        }


def fraction_done(stage: Stage) -> float:
    """Return the fraction of the job that is done. Download and conversion overlap: the slower one counts."""
    downloaded = stage.bytes / stage.bytes_total if stage.bytes_total else 1.0
    return min(downloaded, stage.converted) if stage.converted else downloaded / 2


def _seconds_left(record: Record, stage: Stage | None) -> float | None:
    if stage is None or record.started is None or fraction_done(stage) < FRACTION_MIN:
        return None
    spent = time.time() - record.started
    return max(0.0, spent * (1 / fraction_done(stage) - 1))
