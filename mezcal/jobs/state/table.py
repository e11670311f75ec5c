"""The job table in Redis: the queued, running and ended jobs. Each transition is one Lua script."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from mezcal.errors import ORIGIN_AWAY, Quarantined
from mezcal.jobs.state import known_derivatives
from mezcal.jobs.state.keys import Keys, Lane
from mezcal.jobs.state.lookups import JobLookups
from mezcal.jobs.state.records import (
    AttemptOutcome,
    Claim,
    LostAttempt,
    Message,
    ProcessEnd,
    QueueRequest,
    QueueResult,
    as_json,
    messages_of,
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
UNFINISHED_SECONDS = 90 * 86_400  # as UNFINISHED_KEPT in lua/common.lua
QUARANTINE_SECONDS = 90 * 86_400  # an operator lifts it sooner; but no key stays for ever
HELD_MOST = 1000  # per sweep: jobs that are held back are passed over, which takes some 10 µs each
GRACE_MS = 5000  # a queued job without a message for so long has lost it


class HeldBack(Exception):
    """A process stays free for other clients, which have asked a moment ago."""


class JobTable(JobLookups):
    """The table's look-ups and transitions. Every method raises `redis.RedisError` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys, policy: JobPolicy) -> None:
        super().__init__(redis, keys)
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

    def forget(self, key: str, source: str = "", kind: str = "") -> bool:
        """Delete the job *key*. A worker that runs it loses its lease. Returns True if the job existed.

        No job of *source* that is queued from now on is made from masters that are open already. *kind* is that of its
        recipe.
        """
        return bool(self._run("forget", key, {"source": source, "kind": kind}))

    def withdraw(self, keys: list[str], since: float) -> int:
        """Delete those of the bulk jobs *keys* that were first asked for after *since* (seconds of Redis' clock) and
        that no client and no worker has touched. Returns how many.
        """
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            self._run("withdraw", key, {"since": int(since * 1000)}, client=pipe)
        return sum(pipe.execute())

    # --- for pool processes

    def begin(self, key: str, worker: str, message: str = "", *, bulk: bool = True) -> Claim | None:
        """Claim the queued job *key* for the task *message*. *bulk* says whether the process serves that lane, too.

        Returns None if the job is not queued, is quarantined now, or is held back for another process.
        """
        return self._begin(key, worker, message, bulk)

    def begin_next(self, worker: str, message: str = "", *, bulk: bool = True) -> Claim | None:
        """Claim the queued job of the interactive lane whose turn it is, as `begin` does.

        Raises `HeldBack` if such jobs are queued, but the clients of those that were looked at have all processes that
        they may have now.
        """
        return self._begin("", worker, message, bulk)

    def begin_companion(
        self, last: Claim, worker: str, message: str, *, bulk: bool, arrival: float = 0
    ) -> Claim | None:
        """Claim the next queued job that is made from the open masters of *last*, which has ended.

        The masters arrived in *arrival* seconds. Returns None if there is no such job, or others come first.
        """
        return self._begin("", worker, message, bulk, last, arrival)

    def let_go(self, claim: Claim) -> list[Message]:
        """Record that the masters of *claim* are closed. Returns the messages to send, of jobs held back for it."""
        args: Arguments = {"source": claim.source, "chain": claim.chain}
        return messages_of(self._run("let_go", "", args | self._sharing))

    def _begin(
        self, key: str, worker: str, message: str, bulk: bool, last: Claim | None = None, arrival: float = 0
    ) -> Claim | None:
        args: Arguments = {"worker": worker, "message": message, "lease_ms": self._lease_ms}
        args |= {"origins": json.dumps(self.policy.origins), "client_share": self.policy.client_share}
        args |= {"several": self.policy.several_as_json}
        args |= {"silent_seconds": SILENT_SECONDS, "bulk": "1" if bulk else "", "window_ms": int(2000 * arrival)}
        args |= {"source": last.source if last else "", "chain": last.chain if last else ""}
        answer = self._run("begin", key, args | self._quarantine | self._sharing | self._told)
        if answer == ["held"]:
            raise HeldBack
        return Claim.parse(answer) if answer else None

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

    def make_alone(self, claim: Claim) -> bool:
        """Queue the job again, to share its task with no other. The attempt is not counted."""
        return self._finish(claim, AttemptOutcome.ALONE)

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
        args: Arguments = {"grace_ms": GRACE_MS, "limit": REAP_MOST, "held_limit": HELD_MOST}
        return messages_of(self._run("reap", "", args | self._quarantine | self._sharing | self._told))

    # --- the scripts

    def _request(self, request: QueueRequest, lane: Lane, batch: str = "", client: Any = None) -> Any:
        recipe = request.recipe
        known_derivatives.note(recipe, self.keys, self.redis if client is None else client, self._remembered)
        args: Arguments = {
            "lane": lane,
            "recipe": json.dumps(recipe.as_json()),
            "source": self.source_of(recipe),
            "origin": self.policy.turn_queue(recipe.as_json()),
            "queue_max": self.policy.queue_max,
            "batch": batch if request.counted else "",
            "place": "" if request.place is None else request.place,
            "more": "1" if request.more else "",
            "ends_to": self.policy.ends_to if batch else "",
        }
        if not request.master_changed:
            headers = json.dumps(dict(request.headers or {}))
            args |= {"ticket": ticket_text(request.urls), "client": digest(request.client), "headers": headers}
            args["client_max"] = self.policy.client_max
            return self._run("ensure", recipe.key, args, recipe.as_json(), client)
        args |= {"remake": "1" if request.remake else "", "kind": recipe.kind}
        return self._run("change", recipe.key, args, recipe.as_json(), client)

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
            "ends_to": self.policy.ends_to,
        }
        return bool(self._run("finish", claim.key, args, claim.recipe))

    def _lost(self, message: str, cause: ProcessEnd, args: Arguments) -> LostAttempt | None:
        answer = self._run("lost", "", {"message": message, "cause": cause, **args, **self._sharing, **self._told})
        if not answer:
            return None
        key, lane, recipe, *messages = answer
        return LostAttempt(key, Lane(lane), json.loads(recipe), messages_of(messages))

    def source_of(self, recipe: Recipe) -> str:
        """Return the name of the masters of *recipe*; "" if they are not downloaded."""
        limits = self.policy.limits_of(recipe.as_json())
        return recipe.masters_key if limits and limits.name else ""

    @property
    def _sharing(self) -> Arguments:
        """Half of the task's time limit is left to the last job that it begins."""
        return {"sharing_ms": int(self.policy.time_limit * 500)}

    @property
    def _told(self) -> Arguments:
        """Which hooks are notified of ended jobs."""
        return {"ends_to": self.policy.ends_to}

    @property
    def _remembered(self) -> int:
        """The seconds after a request for which a job of it, and then a failure of that job, may be remembered."""
        return UNFINISHED_SECONDS + max([QUARANTINE_SECONDS, *self.policy.retention.values()])

    @property
    def _lease_ms(self) -> int:
        return int(self.policy.lease * 1000)

    @property
    def _quarantine(self) -> Arguments:
        most = self.policy.max_attempts
        failure = Quarantined(f"its worker died or fell silent {most} times while making it")
        return {"max_attempts": most, "failure": as_json(failure), "failure_seconds": QUARANTINE_SECONDS}

    def _run(
        self, script: str, key: str, args: Arguments, recipe: Mapping[str, Any] | None = None, client: Any = None
    ) -> Any:
        limits = self.policy.limits_of(recipe) if recipe else None
        keys = self.keys.of_job(key, limits.name if limits else "")
        return self.scripts.run(f"jobs/{script}", keys, {"key": key, **args}, client)


def ticket_text(urls: Mapping[str, str] | None) -> str:
    """Returns the ticket with these signed URLs of frames, by frame id; empty if there are none."""
    return json.dumps(urls) if urls else ""


def digest(client: str) -> str:
    """Returns the short name of *client* in the table, which shows no address; "" for none."""
    return hashlib.blake2b(client.encode(), digest_size=8).hexdigest() if client else ""


def _message(answer: list[str]) -> Message | None:
    return Message(Lane(answer[0]), json.loads(answer[1])) if answer else None
