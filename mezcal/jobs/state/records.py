"""The values that go into the job table and come out of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from mezcal.errors import Failure
from mezcal.jobs.state.keys import JobState, Lane

if TYPE_CHECKING:
    from mezcal.recipe import Recipe


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

    def as_json(self) -> dict[str, Any]:
        """Return the job without its recipe; times are seconds since 1970."""
        return {
            "id": self.key,
            "state": self.state,
            "lane": self.lane,
            "attempts": self.attempts,
            "asked": self.asked,
            "started": self.started,
            "ended": self.ended,
            "failure": self.failure.as_record() if self.failure else None,
            "history": [past | {"at": past["at"] / 1000} for past in self.history],
        }


class Verdict(StrEnum):
    """What the job table decided about a request for a job."""

    PUBLISH = "publish"  # the job is queued, and the caller sends its message
    JOINED = "joined"  # the job is queued or running already
    FULL = "full"  # refused: too many jobs are queued
    FAILED = "failed"  # refused: the job failed, and the failure is remembered
    ORIGIN_PAUSED = "origin-paused"  # refused: no request goes to the job's origin now


@dataclass(frozen=True, slots=True)
class QueueResult:
    """The answer to one request for a job; *lane* is that of the message to be sent.

    *failure* comes with `FAILED`; *pause*, in seconds, with `ORIGIN_PAUSED`.
    """

    verdict: Verdict
    lane: Lane
    failure: Failure | None = None
    pause: float = 0

    @classmethod
    def parse(cls, answer: list[str], lane: Lane) -> QueueResult:
        """Read the *answer* of `ensure.lua` or `change.lua` to a request for *lane*."""
        verdict, detail = Verdict(answer[0]), answer[1] if len(answer) > 1 else None
        if verdict is Verdict.FAILED:
            return cls(verdict, lane, failure=failure_of(detail))
        if verdict is Verdict.ORIGIN_PAUSED:
            return cls(verdict, lane, pause=int(detail or 0) / 1000)
        return cls(verdict, Lane(detail) if detail else lane)


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
