"""The job table in Redis: what is queued, who runs it, how it ended. Each transition is one script."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from mezcal.errors import Failure, Memory, Quarantined
from mezcal.jobs.keys import Keys, Lane, State

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

    from mezcal.recipe import Recipe
    from mezcal.settings import Settings

REAP_MOST = 100  # per sweep and reason: a sweep holds the server for a few milliseconds at most
QUARANTINE_SECONDS = 365 * 86_400  # an operator lifts it sooner; but no key is for ever
GRACE_MS = 5000  # a queued job whose message is not to be seen for so long has lost it


@dataclass(frozen=True, slots=True)
class Terms:
    """How long leases, attempts and memories last; seconds where nothing else is said."""

    lease: float = 6
    max_attempts: int = 3
    queue_max: int = 2_000_000
    memory: dict[Memory, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Terms:
        """The terms that *settings* set."""
        return cls(
            lease=settings.lease_seconds,
            max_attempts=settings.max_attempts,
            queue_max=settings.queue_max,
            memory={
                Memory.BRIEF: settings.failure_brief_seconds,
                Memory.MISSING: settings.failure_missing_seconds,
                Memory.LASTING: settings.failure_lasting_seconds,
            },
        )

    def seconds(self, memory: Memory) -> int:
        """How long a failure of this class is remembered."""
        return self.memory.get(memory, 0)


@dataclass(frozen=True, slots=True)
class Record:
    """One job as the table has it; times are seconds since 1970."""

    key: str
    state: State
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


@dataclass(frozen=True, slots=True)
class Message:
    """A job whose message has to be sent."""

    lane: Lane
    recipe: dict[str, Any]


class Table:
    """The table's transitions. Every method raises `redis.RedisError` where Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys, terms: Terms) -> None:
        self.redis = redis
        self.keys = keys
        self.terms = terms

    # --- askers

    def ensure(self, recipe: Recipe, lane: Lane, *, remake: bool = False) -> tuple[str, Failure | None]:
        """Start or join *recipe*'s job: `publish` (send its message), `joined`, `full`, `failed` and why."""
        wanted = json.dumps(recipe.as_json())
        verdict = self._run("ensure", recipe.key, lane, wanted, self.terms.queue_max, "1" if remake else "")
        return verdict[0], _failure(verdict[1]) if len(verdict) > 1 else None

    def forget(self, key: str) -> bool:
        """Drop the job; one that runs is fenced off. Whether it was known."""
        return bool(self._run("forget", key))

    def read(self, key: str) -> Record | None:
        """The job as it stands, None if the table does not know it."""
        fields = cast("dict[str, str]", self.redis.hgetall(self.keys.job(key)))
        return _record(key, fields) if fields.get("state") else None

    def states(self, keys: list[str]) -> list[State | None]:
        """Where each of the jobs stands, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.hget(self.keys.job(key), "state")
        return [State(state) if state else None for state in pipe.execute()]

    def failures(self, most: int = 100) -> list[Record]:
        """Failed and quarantined jobs, those remembered longest first."""
        known = cast("list[str]", self.redis.zrange(self.keys.failed, 0, most - 1, desc=True))
        return [record for key in known if (record := self.read(key)) is not None]

    def depths(self) -> dict[str, int]:
        """How many jobs are queued per lane, running, in back-off, and remembered as failed."""
        pipe = self.redis.pipeline(transaction=False)
        sets = {str(lane): self.keys.queued(lane) for lane in Lane}
        sets |= {"running": self.keys.running, "later": self.keys.later, "failed": self.keys.failed}
        for name in sets.values():
            pipe.zcard(name)
        return dict(zip(sets, pipe.execute(), strict=True))

    def recent(self, most: int) -> list[dict[str, Any]]:
        """The recipes made last, newest first, each once."""
        made = cast("list[str]", self.redis.lrange(self.keys.recent, 0, -1))
        return [json.loads(recipe) for recipe in dict.fromkeys(made)][:most]

    # --- makers

    def begin(self, key: str, worker: str) -> Claim | None:
        """Take a queued job; None where it is taken, done, forgotten or now in quarantine."""
        found = self._run("begin", key, worker, self._lease_ms, self.terms.max_attempts, *self._quarantine)
        if not found:
            return None
        token, attempt, lane, remake = found
        return Claim(key, token, int(attempt), Lane(lane), bool(remake))

    def renew(self, claim: Claim) -> bool:
        """Keep the lease; False where the job has gone to another or was forgotten."""
        return bool(self._run("renew", claim.key, claim.token, self._lease_ms))

    def finish(self, claim: Claim) -> bool:
        """Report the derivative as stored; False where the job was no longer ours."""
        return bool(self._run("finish", claim.key, claim.token, "done", "", 0))

    def fail(self, claim: Claim, failure: Failure) -> bool:
        """Report *failure*, remembered for as long as its class deserves."""
        seconds = self.terms.seconds(failure.memory)
        return bool(self._run("finish", claim.key, claim.token, "failed", _json(failure), seconds))

    def put_off(self, claim: Claim, failure: Failure, seconds: float) -> bool:
        """Queue the job again in *seconds*, because of a *failure* that may pass."""
        return bool(self._run("finish", claim.key, claim.token, "later", _json(failure), seconds))

    def release(self, claim: Claim) -> bool:
        """Give the job back, the attempt not counted: the worker was told to stop."""
        return bool(self._run("finish", claim.key, claim.token, "released", "", 0))

    def reap(self) -> list[Message]:
        """Queue again what dead workers held, what waited out its back-off, and what lost its message."""
        most = self.terms.max_attempts
        found = self._run("reap", "", most, *self._quarantine, GRACE_MS, self.keys.job(""), REAP_MOST)
        triples = zip(found[::3], found[1::3], found[2::3], strict=True)
        return [Message(Lane(lane), json.loads(recipe)) for _, lane, recipe in triples]

    # --- the scripts

    @property
    def _lease_ms(self) -> int:
        return int(self.terms.lease * 1000)

    @property
    def _quarantine(self) -> tuple[str, int]:
        ended = Quarantined(f"its worker died or fell silent {self.terms.max_attempts} times while making it")
        return _json(ended), QUARANTINE_SECONDS

    @cached_property
    def _scripts(self) -> dict[str, Script]:
        folder = files("mezcal.jobs") / "lua"
        common = (folder / "common.lua").read_text()
        names = ("ensure", "begin", "renew", "finish", "reap", "forget")
        return {name: self.redis.register_script(common + (folder / f"{name}.lua").read_text()) for name in names}

    def _run(self, script: str, key: str, *args: str | float) -> Any:
        keys = self.keys
        named = [keys.job(key), *map(keys.queued, Lane), keys.running, keys.later, keys.failed, keys.fence]
        named += [keys.ended, *map(keys.begun, Lane), *map(keys.pipe, Lane), keys.recent]
        return self._scripts[script](keys=named, args=[key, *args])


def _json(failure: Failure) -> str:
    return json.dumps(failure.as_record())


def _failure(record: str | None) -> Failure | None:
    return Failure.from_record(json.loads(record)) if record else None


def _record(key: str, fields: dict[str, str]) -> Record:
    def moment(name: str) -> float | None:
        return int(fields[name]) / 1000 if name in fields else None

    return Record(
        key=key,
        state=State(fields["state"]),
        lane=Lane(fields["lane"]),
        recipe=json.loads(fields["recipe"]),
        attempts=int(fields["attempts"]),
        asked=moment("asked") or 0.0,
        started=moment("started"),
        ended=moment("ended"),
        worker=fields.get("worker"),
        failure=_failure(fields.get("failure")),
        history=json.loads(fields.get("history", "[]")),
    )
