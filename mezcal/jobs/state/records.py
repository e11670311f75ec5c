"""The values that go into the job table and come out of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from mezcal.errors import Failure
from mezcal.jobs.state.keys import JobState, Lane
from mezcal.recipe import known_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Record:
    """One job; times are seconds since 1970."""

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

    @property
    def label(self) -> str:
        """The job's name for people. A recipe that is not valid in this version is shown as JSON."""
        recipe = known_recipe(self.recipe)
        return recipe.label if recipe else f"of another version: {json.dumps(self.recipe)}"

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
    OVER_SHARE = "over-share"  # refused: the client has too many jobs queued


@dataclass(frozen=True, slots=True)
class QueueResult:
    """The answer to one request for a job; *lane* is that of the message to be sent.

    *failure* comes with `FAILED`; *pause*, in seconds, with `ORIGIN_PAUSED`, and with `OVER_SHARE` if it is known.
    """

    verdict: Verdict
    lane: Lane
    failure: Failure | None = None
    pause: float | None = None

    @classmethod
    def parse(cls, answer: list[str], lane: Lane) -> QueueResult:
        """Read the *answer* of `ensure.lua` or `change.lua` to a request for *lane*."""
        verdict, detail = Verdict(answer[0]), answer[1] if len(answer) > 1 else None
        if verdict is Verdict.FAILED:
            return cls(verdict, lane, failure=failure_of(detail))
        if verdict in {Verdict.ORIGIN_PAUSED, Verdict.OVER_SHARE}:
            return cls(verdict, lane, pause=int(detail) / 1000 if detail else None)
        return cls(verdict, Lane(detail) if detail else lane)


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's claim on a job. The fencing token invalidates the claims before it.

    *headers* are those of the message that a client's request sent for the job, which may have been another message.
    """

    key: str
    recipe: dict[str, Any]
    token: str
    attempt: int
    lane: Lane
    remake: bool  # the stored derivative is outdated
    suspect: bool = False  # the job's origin has failed lately
    waited: float = 0  # seconds in the queue
    headers: dict[str, str] = field(default_factory=dict)
    uncounted: int = 0  # failed attempts that do not count, because the master has changed and must be read
    source: str = ""  # `masters_key` of the recipe; "" if its masters are not downloaded
    chain: str = ""  # the token of the first job that was made from the same download
    masters_age: float | None = None  # seconds since frames changed: files of before are not used; None if long ago

    @property
    def is_companion(self) -> bool:
        """True if the masters were opened for another job, with which this one shares its task."""
        return bool(self.chain) and self.chain != self.token

    @classmethod
    def parse(cls, answer: list[str]) -> Claim:
        """Read the *answer* of `begin.lua`."""
        key, recipe, token, attempt, lane, remake, suspect, queued, headers, uncounted, source, chain, age = answer
        return cls(
            key=key,
            recipe=json.loads(recipe),
            token=token,
            attempt=int(attempt),
            lane=Lane(lane),
            remake=bool(remake),
            suspect=bool(suspect),
            waited=int(float(queued)) / 1000,
            headers=json.loads(headers or "{}"),
            uncounted=int(uncounted),
            source=source,
            chain=chain,
            masters_age=float(age) / 1000 if age else None,
        )


@dataclass(frozen=True, slots=True)
class LostAttempt:
    """An attempt whose process has ended, with the *messages* to send: of that job, and of those held back for it."""

    key: str
    lane: Lane
    recipe: dict[str, Any]
    messages: list[Message]


class AttemptOutcome(StrEnum):
    """The outcome of an attempt, as a worker reports it."""

    DONE = "done"
    FAILED = "failed"
    RETRY = "retry"  # failed, and another attempt may succeed
    KEEP_ON = "keep-on"  # the same, however often
    UNTRIED = "untried"  # nothing was tried
    ALONE = "alone"  # its time was shared with other jobs, and did not suffice


class ProcessEnd(StrEnum):
    """Why the process that ran a job has ended."""

    DIED = "died"
    KILLED = "killed"  # it took too long
    RETURNED = "returned"  # its worker shuts down


class QueueRequest(NamedTuple):
    """One recipe to be queued.

    *master_changed*: the master is new or has changed, so it is fetched again. *remake*: the stored derivative is
    outdated. *place* is that of its item in the batch, None if the item is settled in another way. A request that
    is not *counted* does not belong to the batch; one that is *more* adds an item to it. *urls* are the signed URLs
    of a thumbnail's frames, by frame id. *client* asks for it, "" if it is none or has no limits; *headers* are those
    of its message.
    """

    recipe: Recipe
    master_changed: bool = False
    remake: bool = False
    place: int | None = None
    counted: bool = True
    more: bool = False
    urls: Mapping[str, str] | None = None
    client: str = ""
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """The message of a job, to be sent in *lane*."""

    lane: Lane
    recipe: dict[str, Any]

    @property
    def label(self) -> str:
        """The job's name for people. Of a recipe that only a newer version knows, it is that version's JSON."""
        recipe = known_recipe(self.recipe)
        return recipe.label if recipe else json.dumps(self.recipe)


def messages_of(answer: list[str]) -> list[Message]:
    """Return the messages that a script's *answer* names: lane, recipe, lane, recipe, and so on."""
    return [Message(Lane(lane), json.loads(recipe)) for lane, recipe in zip(answer[::2], answer[1::2], strict=True)]


def failure_of(record: str | None) -> Failure | None:
    """Return the failure that *record*, JSON of a job, describes; None if there is none."""
    if not record:
        return None
    fields = json.loads(record)
    failure = Failure.from_record(fields)
    failure.validators = fields.get("etag"), fields.get("last_modified")
    return failure


def as_json(failure: Failure) -> str:
    """Return *failure* as it is kept in a job. The inverse of `failure_of`."""
    validators = zip(("etag", "last_modified"), failure.validators, strict=True)
    return json.dumps(failure.as_record() | {name: value for name, value in validators if value})


def _attempt(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an *entry* of a job's history. That of a failed attempt has the failure as JSON in `what`."""
    if not entry["what"].startswith("{"):
        return entry
    failure = json.loads(entry["what"])
    return entry | {"what": failure.get("detail", ""), "class": failure.get("class", "")}


def record_of(key: str, fields: dict[str, str]) -> Record:
    """Return the job *key* whose hash in Redis has these *fields*."""

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
        history=[_attempt(entry) for entry in json.loads(fields.get("history", "[]"))],
    )
