"""Every Redis key of mezcal, built and explained in one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lane(StrEnum):
    """Whose turn it is: `interactive` where somebody waits, `bulk` where nobody does."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class JobState(StrEnum):
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
        """Hash: one job. Fields: state, lane, recipe (JSON), attempts, token, message (its task's id), remake,
        asked, queued, started, ended, worker, failure (JSON), until (when askers may start a failed one anew,
        though it is still listed), history (JSON list of how past attempts ended), lapsed (the token of a lease
        that ran out).
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

    def breaker(self, host: str) -> str:
        """Hash: the open or half-open circuit of the origin *host*; a closed one has none. Fields: until (when it
        may be tried again), opened (how often in a row), probe (until when somebody tries).
        """
        return f"{self.prefix}breaker:{host}"

    def sick(self, host: str) -> str:
        """Set: the jobs that *host* failed lately, none of its answers having been good since."""
        return f"{self.prefix}sick:{host}"

    def slots(self, host: str) -> str:
        """Sorted set: the tokens of the jobs that hold a place at *host*, by the end of their leases."""
        return f"{self.prefix}slots:{host}"

    def chore(self, name: str) -> str:
        """String: who does the periodic work *name* in this interval; expires with it."""
        return f"{self.prefix}chore:{name}"

    def progress(self, key: str) -> str:
        """String: how far the running job *key* has come (JSON); expires."""
        return f"{self.prefix}progress:{key}"

    def revalidating(self, key: str) -> str:
        """String: somebody has asked for the revalidation of the derivative *key* lately; expires."""
        return f"{self.prefix}revalidating:{key}"

    def ticket(self, key: str) -> str:
        """String: the signed URLs (JSON, by frame id) by which a thumbnail's frames may be fetched; expires."""
        return f"{self.prefix}ticket:{key}"

    @property
    def walk(self) -> str:
        """String: the folder of the store up to which the periodic walk has come."""
        return f"{self.prefix}walk"

    def batch(self, name: str) -> str:
        """Hash: one bulk request; expires. Fields: items, asked, last (when anything was news), done, failed,
        forgotten, deleted, ignored, repeated, entered (jobs that are or were open), beside (items less requests).
        Beside it, under the same name: `:spread`, bits of the items that were taken up; `:open`, the keys of jobs
        that have not ended; `:failed`, keys of jobs; `:notes`, what was ignored and why.
        """
        return f"{self.prefix}batch:{name}"

    @property
    def items(self) -> str:
        """Hash: how many items of all batches have ended how, for metrics; expires. Fields: as a batch's counts."""
        return f"{self.prefix}items"

    def delivery(self, name: str) -> str:
        """String: the batch that an event opened, by a digest of the event's id; expires."""
        return f"{self.prefix}delivery:{name}"

    def pages(self, key: str) -> str:
        """Set: the pages that somebody asked for of the master whose main mezzanine is *key*; expires."""
        return f"{self.prefix}pages:{key}"

    def chunk(self, name: str) -> str:
        """String: items of a batch (JSON) that nobody has queued yet."""
        return f"{self.prefix}chunk:{name}"

    @property
    def chunks(self) -> str:
        """Sorted set: the names of the chunks, by when they may be taken."""
        return f"{self.prefix}chunks"

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

    def minute(self, number: int) -> str:
        """Hash: what the installation counted in one minute (its number since 1970), for the operator's page; expires.
        Fields: requests:<outcome>, jobs:<outcome>, wait_ms, work_ms, and wait_below:<s>, work_below:<s> for how many
        took no longer than so many seconds, and longer than the next smaller one says.
        """
        return f"{self.prefix}minute:{number}"

    @property
    def largest(self) -> str:
        """Sorted set: the recipes (JSON) of the largest derivatives made, by their bytes; a hundred at most."""
        return f"{self.prefix}largest"

    def preview(self, key: str) -> str:
        """String: a small picture of the derivative *key* (JPEG in Base64), empty while it is made; expires."""
        return f"{self.prefix}preview:{key}"

    @property
    def workers(self) -> str:
        """Sorted set: the workers (JSON), by when each last said that it is there, in seconds."""
        return f"{self.prefix}workers"

    @property
    def ended(self) -> str:
        """Channel: the key of each job that left the state in which somebody may wait for it."""
        return f"{self.prefix}ended"
