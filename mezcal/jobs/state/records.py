"""What the job table says, as values: the terms of an installation, a job, a worker's hold on one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from mezcal.errors import Failure, Memory
from mezcal.jobs.state.keys import JobState, Lane
from mezcal.recipe import Mezzanine, Thumbnail

if TYPE_CHECKING:
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How long leases, attempts and memories last; seconds where nothing else is said."""

    lease: float = 6
    max_attempts: int = 3
    retry: float = 30  # from a bulk job's first failure to its second attempt
    queue_max: int = 2_000_000
    memory: dict[Memory, int] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)  # a recipe's kind -> the host of its masters
    origin_places: int = 0  # jobs that may use one origin at once; 0 is no bound
    breaker_failures: int = 5
    breaker_rest: float = 15
    time_limit: float = 900  # of one job

    @classmethod
    def of(cls, settings: Settings) -> JobPolicy:
        """The terms that *settings* set."""
        return cls(
            lease=settings.lease_seconds,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            queue_max=settings.queue_max,
            memory={
                Memory.BRIEF: settings.failure_brief_seconds,
                Memory.MISSING: settings.failure_missing_seconds,
                Memory.LASTING: settings.failure_lasting_seconds,
            },
            origins={
                Mezzanine.kind: urlsplit(settings.repo_base_url or "").netloc.rpartition("@")[2],
                Thumbnail.kind: urlsplit(settings.archive_api_url or "").netloc.rpartition("@")[2],
            },
            origin_places=settings.origin_concurrency,
            breaker_failures=settings.breaker_failures,
            breaker_rest=settings.breaker_seconds,
            time_limit=settings.job_time_limit,
        )

    def seconds(self, memory: Memory) -> int:
        """How long a failure of this class is remembered."""
        return self.memory.get(memory, 0)


@dataclass(frozen=True, slots=True)
class Record:
    """One job as the table has it; times are seconds since 1970."""

    key: str
    state: JobState
    lane: Lane
    recipe: dict[str, Any]
    attempts: int
    asked: float
    started: float | None
    ended: float | None
    worker: str | None
    failure: Failure | None
    history: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a job: the token fences off whoever held it before."""

    key: str
    token: str
    attempt: int
    lane: Lane
    remake: bool
    suspect: bool = False  # its origin has failed jobs lately
    waited: float = 0  # seconds in the queue


class QueueRequest(NamedTuple):
    """One recipe to be queued. *fresh*: its master is new or has changed; *anew*: so what is stored is outdated.

    *place* is its item's in the batch, None where that is noted apart; what is not *counted* is no part of the batch.
    """

    recipe: Recipe
    fresh: bool = False
    anew: bool = False
    place: int | None = None
    counted: bool = True

    @property
    def at(self) -> str | int:
        """Its place as the scripts take it."""
        return "" if self.place is None else self.place


@dataclass(frozen=True, slots=True)
class Message:
    """A job whose message has to be sent."""

    lane: Lane
    recipe: dict[str, Any]


def failure_of(record: str | None) -> Failure | None:
    """The failure that a record's JSON describes, if there is one."""
    return Failure.from_record(json.loads(record)) if record else None


def as_json(failure: Failure) -> str:
    """*failure* as it is kept in a record; `failure_of` is the inverse."""
    return json.dumps(failure.as_record())


def record_of(key: str, fields: dict[str, str]) -> Record:
    """The job whose hash in Redis holds *fields*."""

    def moment(name: str) -> float | None:
        return int(fields[name]) / 1000 if name in fields else None

    return Record(
        key=key,
        state=JobState(fields["state"]),
        lane=Lane(fields["lane"]),
        recipe=json.loads(fields["recipe"]),
        attempts=int(fields["attempts"]),
        asked=moment("asked") or 0.0,
        started=moment("started"),
        ended=moment("ended"),
        worker=fields.get("worker"),
        failure=failure_of(fields.get("failure")),
        history=json.loads(fields.get("history", "[]")),
    )
