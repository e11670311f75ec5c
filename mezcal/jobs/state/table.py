"""The job table in Redis: the queued, running and ended jobs. Each transition is one Lua script."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, cast

from mezcal.errors import ORIGIN_AWAY, Quarantined
from mezcal.jobs.state import known_pages
from mezcal.jobs.state.keys import JobState, Keys, Lane
from mezcal.jobs.state.records import (
    AttemptOutcome,
    Claim,
    LostAttempt,
    Message,
    ProcessEnd,
    QueueRequest,
    QueueResult,
    Record,
    as_json,
    record_of,
)
from mezcal.jobs.state.scripts import Scripts
from mezcal.jobs.workers import SILENT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

    from mezcal.errors import Failure
    from mezcal.jobs.state.policy import JobPolicy
    from mezcal.jobs.state.scripts import Arguments
    from mezcal.recipe import Recipe

REAP_MOST = 100  # per sweep and reason: a sweep holds the server for a few milliseconds at most
QUARANTINE_SECONDS = 365 * 86_400  # an operator lifts it sooner; but no key stays for ever
GRACE_MS = 5000  # a queued job without a message for so long has lost it


class HeldBack(Exception):
    """A process stays free for other clients, which have asked a moment ago."""


class JobTable:
    """The table's transitions. Every method raises `redis.RedisError` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys, policy: JobPolicy) -> None:
        self.redis = redis
        self.keys = keys
        self.policy = policy
        self.scripts = Scripts(redis)

    # --- for clients

    def ensure(self, recipe: Recipe, lane: Lane, **asked: Any) -> QueueResult:
        """Start or join *recipe*'s job; *asked* are further fields of the `QueueRequest`."""
        return QueueResult.parse(self._request(QueueRequest(recipe, **asked), lane), lane)

    def change(self, recipe: Recipe, lane: Lane) -> QueueResult:
        """Queue *recipe* to be made again from its changed master. A worker that runs the job loses its lease."""
        request = QueueRequest(recipe, master_changed=True, remake=True)
        return QueueResult.parse(self._request(request, lane), lane)

    def queue(self, requests: list[QueueRequest], lane: Lane, batch: str = "") -> list[QueueResult]:
        """Queue *requests* as parts of *batch*, in one round trip. Returns the result of each."""
        pipe = self.redis.pipeline(transaction=False)
        for request in requests:
            self._request(request, lane, batch, pipe)
        answers = [answer for answer in pipe.execute() if isinstance(answer, list)]
        return [QueueResult.parse(answer, lane) for answer in answers]

    def retry(self, key: str, lane: Lane = Lane.BULK, urls: Mapping[str, str] | None = None) -> Message | None:
        """Queue a failed, quarantined or delayed job again, with all its attempts. Returns the message to send.

        The signed *urls* of its frames are kept until it ends.
        """
        return _message(self._run("retry", key, {"lane": lane, "ticket": ticket_text(urls)}))

    def forget(self, key: str) -> bool:
        """Delete the job *key*. A worker that runs it loses its lease. Returns True if the job existed."""
        return bool(self._run("forget", key, {}))

    def withdraw(self, keys: list[str], since: float) -> int:
        """Delete those of the bulk jobs *keys* that were first asked for after *since* (seconds of Redis' clock) and
        that no client and no worker has touched. Returns how many.
        """
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            self._run("withdraw", key, {"since": int(since * 1000)}, client=pipe)
        return sum(pipe.execute())

    # --- look-ups

    def read(self, key: str) -> Record | None:
        """Return the job *key*, None if it is not in the table."""
        fields = cast("dict[str, str]", self.redis.hgetall(self.keys.job(key)))
        return record_of(key, fields) if fields.get("state") else None

    def states(self, keys: list[str]) -> list[JobState | None]:
        """Return the state of each job, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.hget(self.keys.job(key), "state")
        return [JobState(state) if state else None for state in pipe.execute()]

    def remembered_until(self, key: str) -> float | None:
        """Return when the failure of *key* is forgotten, in seconds since 1970; None if none is remembered."""
        until = self.redis.zscore(self.keys.failed, key)
        return None if until is None or math.isinf(until) else until / 1000

    def failures(self, most: int = 100) -> list[Record]:
        """Return the failed and quarantined jobs; those that are remembered longest come first."""
        return self.records(cast("list[str]", self.redis.zrange(self.keys.failed, 0, most - 1, desc=True)))

    def running(self, most: int) -> list[Record]:
        """Return at most so many of the running jobs; those whose leases end first come first."""
        return self.records(cast("list[str]", self.redis.zrange(self.keys.running, 0, most - 1)))

    def delayed(self, most: int) -> list[Record]:
        """Return at most so many of the delayed jobs that have failed; those whose next attempt comes first lead."""
        records = self.records(cast("list[str]", self.redis.zrange(self.keys.delayed, 0, most - 1)))
        return [record for record in records if record.state is JobState.DELAYED and record.failure]

    def records(self, keys: list[str]) -> list[Record]:
        """Return those of the jobs *keys* that are in the table, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.hgetall(self.keys.job(key))
        found = zip(keys, pipe.execute(), strict=True)
        return [record_of(key, fields) for key, fields in found if fields.get("state")]

    def depths(self) -> dict[str, int]:
        """Return how many jobs are queued (by lane), `running`, `delayed`, and remembered as `failed`."""
        pipe = self.redis.pipeline(transaction=False)
        sets = {str(lane): self.keys.queued(lane) for lane in Lane}
        sets |= {"running": self.keys.running, "delayed": self.keys.delayed, "failed": self.keys.failed}
        for name in sets.values():
            pipe.zcard(name)
        return dict(zip(sets, pipe.execute(), strict=True))

    # --- for pool processes

    def begin(self, key: str, worker: str, message: str = "") -> Claim | None:
        """Claim the queued job *key* for the task *message*.

        Returns None if the job is not queued, or is quarantined now.
        """
        answer = self._begin(key, worker, message)
        return Claim.parse(answer) if answer else None

    def begin_next(self, worker: str, message: str = "") -> Claim | None:
        """Claim the queued job of the interactive lane whose turn it is, as `begin` does.

        Raises `HeldBack` if such jobs are queued, but their clients have all processes that they may have now.
        """
        answer = self._begin("", worker, message)
        if answer == ["held"]:
            raise HeldBack
        return Claim.parse(answer) if answer else None

    def _begin(self, key: str, worker: str, message: str) -> list[str]:
        args: Arguments = {"worker": worker, "message": message, "lease_ms": self._lease_ms}
        args |= {"origins": json.dumps(self.policy.origins), "client_share": self.policy.client_share}
        args |= {"silent_seconds": SILENT_SECONDS}
        return cast("list[str]", self._run("begin", key, args | self._quarantine))

    def renew(self, claim: Claim) -> bool:
        """Renew the lease. Returns False if the job was given to another worker or forgotten."""
        return bool(self._run("renew", claim.key, {"token": claim.token, "lease_ms": self._lease_ms}))

    def finish(self, claim: Claim) -> bool:
        """Record that the derivative is stored. Returns False if the lease was lost."""
        return self._finish(claim, AttemptOutcome.DONE)

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """Record *failure*. Clients are refused for as long as its class says. Returns False if the lease was lost.

        A bulk job's failure stays listed longer than clients are refused: no client has seen it yet.
        """
        refused = self.policy.retention_seconds(failure.retention)
        kept = self.policy.listed_seconds(failure) if claim.lane is Lane.BULK else refused
        return self._finish(claim, AttemptOutcome.FAILED, failure, kept=kept)

    def delay_after(self, claim: Claim, failure: Failure, seconds: float) -> bool:
        """Delay the job for *seconds*, after a *failure* that may pass. Returns False if the lease was lost.

        The attempt of a remake does not count, nor one that ended because mezcal's own parts failed. If a client waits
        for the job by now, the failure is recorded instead.
        """
        kept = max(self.policy.retention_seconds(failure.retention), 1)
        uncounted = claim.remake or failure.blameless
        outcome = AttemptOutcome.KEEP_ON if uncounted else AttemptOutcome.RETRY
        return self._finish(claim, outcome, failure, delay=seconds, kept=kept)

    def delay(self, claim: Claim, seconds: float) -> bool:
        """Delay the job for *seconds*. The attempt is not counted. Returns False if the lease was lost."""
        return self._finish(claim, AttemptOutcome.UNTRIED, delay=seconds)

    # --- for the workers' main processes

    def process_died(self, message: str) -> LostAttempt | None:
        """Queue the job of the task *message* again: its process died. Returns None if the task has no running job.

        A job whose attempts are used up is quarantined.
        """
        return self._lost(message, ProcessEnd.DIED, self._quarantine)

    def process_killed(self, message: str, failure: Failure) -> LostAttempt | None:
        """Record *failure* for the job of the task *message*: its process was killed, because it took too long.

        Returns None if the task has no running job.
        """
        seconds = max(self.policy.retention_seconds(failure.retention), 1)
        args: Arguments = {"max_attempts": 0, "failure": as_json(failure), "failure_seconds": seconds}
        return self._lost(message, ProcessEnd.KILLED, args)

    def give_back(self, message: str) -> LostAttempt | None:
        """Queue the job of the task *message* again: its worker shuts down. The attempt is not counted.

        Returns None if the task has no running job.
        """
        args: Arguments = {"max_attempts": 0, "failure": "", "failure_seconds": 0}
        return self._lost(message, ProcessEnd.RETURNED, args)

    def reap(self) -> list[Message]:
        """Queue jobs again: of dead workers, after their delay, or without a message. Returns the messages to send."""
        args: Arguments = {"grace_ms": GRACE_MS, "limit": REAP_MOST}
        answer = self._run("reap", "", args | self._quarantine)
        return [Message(Lane(lane), json.loads(recipe)) for lane, recipe in zip(answer[::2], answer[1::2], strict=True)]

    # --- the scripts

    def _request(self, request: QueueRequest, lane: Lane, batch: str = "", client: Any = None) -> Any:
        recipe = request.recipe
        known_pages.note(recipe, self.keys, self.redis if client is None else client)
        args: Arguments = {
            "lane": lane,
            "recipe": json.dumps(recipe.as_json()),
            "queue_max": self.policy.queue_max,
            "batch": batch if request.counted else "",
            "place": "" if request.place is None else request.place,
        }
        if not request.master_changed:
            headers = json.dumps(dict(request.headers or {}))
            args |= {"ticket": ticket_text(request.urls), "client": digest(request.client), "headers": headers}
            args["client_max"] = self.policy.client_max
            return self._run("ensure", recipe.key, args, recipe.kind, client)
        args["remake"] = "1" if request.remake else ""
        return self._run("change", recipe.key, args, recipe.kind, client)

    def _finish(
        self, claim: Claim, outcome: AttemptOutcome, failure: Failure | None = None, *, delay: float = 0, kept: int = 0
    ) -> bool:
        args: Arguments = {
            "token": claim.token,
            "outcome": outcome,
            "failure": as_json(failure) if failure else "",
            "delay_seconds": delay,
            "kept_seconds": kept,
            "refused_seconds": self.policy.retention_seconds(failure.retention) if failure else 0,
            "origin_failed": "1" if isinstance(failure, ORIGIN_AWAY) else "",
        }
        return bool(self._run("finish", claim.key, args, claim.recipe["kind"]))

    def _lost(self, message: str, cause: ProcessEnd, args: Arguments) -> LostAttempt | None:
        answer = self._run("lost", "", {"message": message, "cause": cause, **args})
        if not answer:
            return None
        key, lane, recipe, queued = answer
        return LostAttempt(key, Lane(lane), json.loads(recipe), bool(queued))

    @property
    def _lease_ms(self) -> int:
        return int(self.policy.lease * 1000)

    @property
    def _quarantine(self) -> Arguments:
        most = self.policy.max_attempts
        failure = Quarantined(f"its worker died or fell silent {most} times while making it")
        return {"max_attempts": most, "failure": as_json(failure), "failure_seconds": QUARANTINE_SECONDS}

    def _run(self, script: str, key: str, args: Arguments, kind: str = "", client: Any = None) -> Any:
        keys = self.keys.of_job(key, self.policy.origins.get(kind, ""))
        return self.scripts.run(f"jobs/{script}", keys, {"key": key, **args}, client)


def ticket_text(urls: Mapping[str, str] | None) -> str:
    """Returns the ticket with these signed URLs of frames, by frame id; empty if there are none."""
    return json.dumps(urls) if urls else ""


def digest(client: str) -> str:
    """Returns the short name of *client* in the table, which shows no address; "" for none."""
    return hashlib.blake2b(client.encode(), digest_size=8).hexdigest() if client else ""


def _message(answer: list[str]) -> Message | None:
    return Message(Lane(answer[0]), json.loads(answer[1])) if answer else None
