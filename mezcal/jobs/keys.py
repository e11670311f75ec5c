"""Every Redis key of mezcal, built and explained in one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lane(StrEnum):
    """Whose turn it is: `interactive` where somebody waits, `bulk` where nobody does."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class State(StrEnum):
    """Where a job stands; a job that is not in the table has none."""

    QUEUED = "queued"
    LATER = "later"  # failed for now, to be queued again when its back-off is over
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one installation, each begun by its KEY_PREFIX; times are milliseconds of Redis' clock.

    Celery's lists (`<prefix>interactive`, `<prefix>bulk`) are its own; the scripts only look at their length.
    """

    prefix: str

    def job(self, key: str) -> str:
        """Hash: one job. Fields: state, lane, recipe (JSON), attempts, token, remake, asked, queued, started,
        ended, worker, failure (JSON), history (JSON list of how past attempts ended), lapsed (the token of a
        lease that ran out).
        """
        return f"{self.prefix}job:{key}"

    def queued(self, lane: Lane) -> str:
        """Sorted set: the keys queued in *lane*, by when; its size is the lane's depth."""
        return f"{self.prefix}queued:{lane}"

    def begun(self, lane: Lane) -> str:
        """String: when the job begun last in *lane* had been queued: what is older and still queued lost its
        message.
        """
        return f"{self.prefix}begun:{lane}"

    def pipe(self, lane: Lane) -> str:
        """List: Celery's messages of *lane*."""
        return f"{self.prefix}{lane}"

    @property
    def running(self) -> str:
        """Sorted set: the keys of running jobs, by the end of their leases."""
        return f"{self.prefix}running"

    @property
    def later(self) -> str:
        """Sorted set: the keys of jobs in back-off, by when they are due."""
        return f"{self.prefix}later"

    @property
    def failed(self) -> str:
        """Sorted set: the keys of failed and quarantined jobs, by when they are forgotten."""
        return f"{self.prefix}failed"

    @property
    def fence(self) -> str:
        """String: the newest fencing token. Tokens grow even if Redis forgets this one: they are at least its
        clock, in microseconds.
        """
        return f"{self.prefix}fence"

    @property
    def recent(self) -> str:
        """List: the recipes made last, newest first, for people to look at."""
        return f"{self.prefix}recent"

    @property
    def ended(self) -> str:
        """Channel: the key of each job that left the state in which somebody may wait for it."""
        return f"{self.prefix}ended"
