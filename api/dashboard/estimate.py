"""What lies before a job: its place in the queue, its progress, and a guess how long it still takes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from mezcal.jobs import JobState

if TYPE_CHECKING:
    from mezcal.jobs import Jobs, Record
    from mezcal.progress import Stage

TELLING = 0.05  # below this fraction what was done says little of what is left


@dataclass(frozen=True, slots=True)
class Estimate:
    """*place* in the queue from 1, None when it is not queued; *stage* where a running job told; *seconds* left."""

    place: int | None = None
    stage: Stage | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, jobs: Jobs, record: Record) -> Self:
        """The outlook of *record*. Raises `BrokerDown`."""
        if record.state is JobState.QUEUED:
            return cls(place=jobs.place(record.key))
        if record.state is not JobState.RUNNING:
            return cls()
        stage = jobs.stage(record.key)
        return cls(stage=stage, seconds=_left(record, stage))

    @property
    def done(self) -> float | None:
        """The fraction of all the work that is done, as far as it is known."""
        return None if self.stage is None else round(fraction(self.stage), 3)

    def as_json(self) -> dict[str, Any]:
        """Its part of a job's JSON."""
        return {
            "place": self.place,
            "done": self.done,
            "progress": asdict(self.stage) if self.stage else None,
            "estimate": None if self.seconds is None else round(self.seconds, 1),
        }


def fraction(stage: Stage) -> float:
    """Download and conversion go on at once: the slower of the two says how far the job is."""
    arrived = stage.bytes / stage.bytes_total if stage.bytes_total else 1.0
    return min(arrived, stage.converted) if stage.converted else arrived / 2


def _left(record: Record, stage: Stage | None) -> float | None:
    if stage is None or record.started is None or fraction(stage) < TELLING:
        return None
    spent = time.time() - record.started
    return max(0.0, spent * (1 / fraction(stage) - 1))
