"""The job table in Redis: what is queued, who runs it, how it ended. Each transition is one script."""

from __future__ import annotations

import json
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from mezcal.errors import Memory, Quarantined
from mezcal.jobs.state import pages
from mezcal.jobs.state.keys import JobState, Keys, Lane
from mezcal.jobs.state.records import Claim, Message, QueueRequest, QueueResult, Record, as_json, record_of

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

    from mezcal.errors import Failure
    from mezcal.jobs.state.policy import JobPolicy
    from mezcal.recipe import Recipe

REAP_MOST = 100  # per sweep and reason: a sweep holds the server for a few milliseconds at most
QUARANTINE_SECONDS = 365 * 86_400  # an operator lifts it sooner; but no key is for ever
GRACE_MS = 5000  # a queued job whose message is not to be seen for so long has lost it
SCRIPTS = (
    *("ensure", "change", "retry", "begin", "renew", "finish", "lost", "reap", "forget", "withdraw"),
    *("open", "note", "look"),  # of batches
)


class JobTable:
    """The table's transitions. Every method raises `redis.RedisError` where Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys, terms: JobPolicy) -> None:
        self.redis = redis
        self.keys = keys
        self.terms = terms

    # --- askers

    def ensure(self, recipe: Recipe, lane: Lane) -> QueueResult:
        """Start or join *recipe*'s job."""
        return QueueResult.parse(self._request(QueueRequest(recipe), lane), lane)

    def change(self, recipe: Recipe, lane: Lane) -> QueueResult:
        """Have *recipe* made again from its changed master. A worker that runs the job loses its lease."""
        return QueueResult.parse(self._request(QueueRequest(recipe, fresh=True, anew=True), lane), lane)

    def queue(self, requests: list[QueueRequest], lane: Lane, batch: str = "") -> list[QueueResult]:
        """Queue *requests* as parts of *batch*, in one round trip. Returns the result of each."""
        pipe = self.redis.pipeline(transaction=False)
        for request in requests:
            self._request(request, lane, batch, pipe)
        answers = [answer for answer in pipe.execute() if isinstance(answer, list)]
        return [QueueResult.parse(answer, lane) for answer in answers]

    def _request(self, request: QueueRequest, lane: Lane, batch: str = "", client: Any = None) -> Any:
        recipe, wanted = request.recipe, json.dumps(request.recipe.as_json())
        pages.note(recipe, self.keys, self.redis if client is None else client)
        remake = ["1" if request.anew else ""] if request.fresh else []
        args = (lane, wanted, self.terms.queue_max, *remake, batch if request.counted else "", request.at)
        return self.run("change" if request.fresh else "ensure", recipe.key, *args, kind=recipe.kind, client=client)

    def retry(self, key: str, lane: Lane = Lane.BULK) -> Message | None:
        """Queue a failed, quarantined or put-off job again, as if it had not been tried; its message, to be sent."""
        return _message(self.run("retry", key, lane))

    def forget(self, key: str) -> bool:
        """Drop the job; one that runs is fenced off. Whether it was known."""
        return bool(self.run("forget", key))

    def withdraw(self, keys: list[str], since: float) -> int:
        """Take back those of the bulk jobs *keys* that were asked for first *since* then (Redis' clock, in seconds)
        and that nobody waits for or works on; how many.
        """
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            self._scripts["withdraw"](keys=self._named(key, ""), args=[key, int(since * 1000)], client=pipe)
        return sum(pipe.execute())

    # --- whoever looks

    def read(self, key: str) -> Record | None:
        """The job as it stands, None if the table does not know it."""
        fields = cast("dict[str, str]", self.redis.hgetall(self.keys.job(key)))
        return record_of(key, fields) if fields.get("state") else None

    def states(self, keys: list[str]) -> list[JobState | None]:
        """Where each of the jobs stands, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.hget(self.keys.job(key), "state")
        return [JobState(state) if state else None for state in pipe.execute()]

    def failures(self, most: int = 100) -> list[Record]:
        """Failed and quarantined jobs, those remembered longest first."""
        return self.records(cast("list[str]", self.redis.zrange(self.keys.failed, 0, most - 1, desc=True)))

    def running(self, most: int) -> list[Record]:
        """Return at most so many of the running jobs, those whose leases end first."""
        return self.records(cast("list[str]", self.redis.zrange(self.keys.running, 0, most - 1)))

    def records(self, keys: list[str]) -> list[Record]:
        """The jobs *keys* as they stand, less those that the table does not know, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.hgetall(self.keys.job(key))
        found = zip(keys, pipe.execute(), strict=True)
        return [record_of(key, fields) for key, fields in found if fields.get("state")]

    def depths(self) -> dict[str, int]:
        """How many jobs are queued per lane, running, in back-off, and remembered as failed."""
        pipe = self.redis.pipeline(transaction=False)
        sets = {str(lane): self.keys.queued(lane) for lane in Lane}
        sets |= {"running": self.keys.running, "later": self.keys.later, "failed": self.keys.failed}
        for name in sets.values():
            pipe.zcard(name)
        return dict(zip(sets, pipe.execute(), strict=True))

    # --- makers

    def begin(self, key: str, worker: str, message: str = "", kind: str = "") -> Claim | None:
        """Take a queued job, of a recipe of this *kind*, for the task *message*.

        None where it is taken, done, forgotten or now in quarantine.
        """
        told = (worker, message, self._lease_ms, self.terms.max_attempts, *self._quarantine)
        found = self.run("begin", key, *told, kind=kind)
        if not found:
            return None
        token, attempt, lane, remake, suspect, queued = found
        return Claim(key, token, int(attempt), Lane(lane), bool(remake), bool(suspect), int(float(queued)) / 1000)

    def renew(self, claim: Claim) -> bool:
        """Keep the lease; False where the job has gone to another or was forgotten."""
        return bool(self.run("renew", claim.key, claim.token, self._lease_ms))

    def finish(self, claim: Claim) -> bool:
        """Report the derivative as stored; False where the job was no longer ours."""
        return self._end(claim, "done")

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """Report *failure*, for which askers are refused as long as its class deserves.

        A bulk job's failure that would be forgotten soon is listed for longer: nobody has been told of it yet.
        """
        refused = self.terms.seconds(failure.memory)
        return self._end(claim, "failed", failure, kept=self._kept(failure, claim.lane), refused=refused)

    def put_off(self, claim: Claim, failure: Failure, seconds: float) -> bool:
        """Queue the job again in *seconds*, because of a *failure* that may pass; where somebody waits for it by
        now, report the failure.
        """
        refused = self.terms.seconds(failure.memory)
        return self._end(claim, "later", failure, delay=seconds, kept=max(refused, 1), refused=refused)

    def defer(self, claim: Claim, seconds: float) -> bool:
        """Queue the job again in *seconds*, the attempt not counted: nothing was tried."""
        return self._end(claim, "deferred", delay=seconds)

    def release(self, claim: Claim) -> bool:
        """Give the job back, the attempt not counted: the worker was told to stop."""
        return self._end(claim, "released")

    # --- those who look after makers

    def died(self, key: str, message: str) -> Message | None:
        """The process with the task *message* is gone: queue its job again, unless that was its last attempt."""
        return self._lost(key, message, "died", *self._quarantine)

    def ended(self, key: str, message: str, failure: Failure) -> None:
        """The process with the task *message* had to be ended: *failure* is the job's."""
        self._lost(key, message, "ended", as_json(failure), max(self.terms.seconds(failure.memory), 1))

    def given_back(self, key: str, message: str) -> Message | None:
        """The process with the task *message* is about to be ended by a shutdown: queue its job, not counted."""
        return self._lost(key, message, "released", "", 0)

    def reap(self) -> list[Message]:
        """Queue again what dead workers held, what waited out its back-off, and what lost its message."""
        most = self.terms.max_attempts
        found = self.run("reap", "", most, *self._quarantine, GRACE_MS, self.keys.job(""), REAP_MOST)
        triples = zip(found[::3], found[1::3], found[2::3], strict=True)
        return [Message(Lane(lane), json.loads(recipe)) for _, lane, recipe in triples]

    # --- the scripts

    def _end(
        self,
        claim: Claim,
        end: str,
        failure: Failure | None = None,
        *,
        delay: float = 0,
        kept: float = 0,
        refused: float = 0,
    ) -> bool:
        told = as_json(failure) if failure else ""
        return bool(self.run("finish", claim.key, claim.token, end, told, delay, kept, refused))

    def _kept(self, failure: Failure, lane: Lane) -> int:
        listed = Memory.LASTING if lane is Lane.BULK and failure.retryable else failure.memory
        return self.terms.seconds(listed)

    def _lost(self, key: str, message: str, how: str, failure: str, seconds: int) -> Message | None:
        return _message(self.run("lost", key, message, how, self.terms.max_attempts, failure, seconds))

    @property
    def _lease_ms(self) -> int:
        return int(self.terms.lease * 1000)

    @property
    def _quarantine(self) -> tuple[str, int]:
        ended = Quarantined(f"its worker died or fell silent {self.terms.max_attempts} times while making it")
        return as_json(ended), QUARANTINE_SECONDS

    @cached_property
    def _scripts(self) -> dict[str, Script]:
        folder = files("mezcal.jobs.state") / "lua"
        common = (folder / "common.lua").read_text()
        return {name: self.redis.register_script(common + (folder / f"{name}.lua").read_text()) for name in SCRIPTS}

    def run(self, script: str, key: str, *args: str | float, kind: str = "", client: Any = None) -> Any:
        """What *script* answers, of the table or of batches; on *client*, a pipeline, later."""
        return self._scripts[script](keys=self._named(key, kind), args=[key, *args], client=client)

    def _named(self, key: str, kind: str) -> list[str]:
        """The keys of every script, as common.lua lists them."""
        keys = self.keys
        named = [keys.job(key), *map(keys.queued, Lane), keys.running, keys.later, keys.failed, keys.fence]
        named += [keys.ended, *map(keys.begun, Lane), *map(keys.pipe, Lane), keys.recent]
        host = self.terms.origins.get(kind, "")
        return [*named, keys.breaker(host), keys.sick(host), keys.batch(""), keys.items]


def _message(found: list[str]) -> Message | None:
    return Message(Lane(found[0]), json.loads(found[1])) if found else None
