"""What hooks downstream are still to be notified of: changed derivatives and ended jobs. It survives outages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from mezcal.errors import BadRecipe
from mezcal.jobs.outages import raises_broker_down
from mezcal.recipe import Mezzanine, Recipe, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.jobs.state.scripts import Arguments
    from mezcal.jobs.state.table import JobTable

ANNOUNCED_SECONDS = 10.0  # in which a deletion that was announced has happened, or its process has died
FAILED_MOST, FAILED_KEPT = 1000, 30 * 86_400
FIRST_REST, LONGEST_REST = 2.0, 60.0  # seconds for which a hook is left alone after failures
SENT_SECONDS = 10  # for which a chore that was sent is waited for, before another one is sent
AT_ONCE = 500  # changes in one call of a script
RETRIED_MOST = 10_000  # of those that wait
UNKNOWN_MS = 10_000  # for which a change is left to workers of a newer version


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job has ended: *what* is `made`, `failed` or `quarantined`, *at* in seconds since 1970.

    *failure* is that of a job that was not made, with `class` and `detail`. *batches* waited for it.
    """

    what: str
    at: float
    failure: dict[str, str]
    batches: list[str]


@dataclass(frozen=True, slots=True)
class Change:
    """A derivative that was replaced or deleted, or whose job has *ended*.

    *name* tells it from others that wait; *version* differs for each change. Times are seconds since 1970.
    """

    name: str
    recipe: Recipe
    version: str
    since: float
    attempts: int
    ended: JobEnd | None = None


@dataclass(frozen=True, slots=True)
class HookStatus:
    """How many changes wait for one hook and how many were given up; the *fault* of now and *since* when it lasts.

    *lost* are the ended jobs that were not kept, because too many waited.
    """

    waiting: int
    failed: int
    lost: int
    fault: str | None
    since: float


class Downstream:
    """What waits for each hook. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, table: JobTable) -> None:
        self._redis, self._keys, self._scripts = table.redis, table.keys, table.scripts
        self.hooks = table.policy.hooks
        self._told_of_changes = table.policy.changes_to

    def announce(self, recipes: Iterable[Any]) -> None:
        """Announce the deletion of the derivatives of *recipes*: hooks are notified in a while if this process dies.

        `add` follows when they are deleted.
        """
        self._add(recipes, ANNOUNCED_SECONDS)

    def add(self, recipes: Iterable[Any]) -> None:
        """Have the hooks notified soon that the derivatives of *recipes* were replaced or deleted.

        Thumbnails are left out: their keys have the versions of their frames.
        """
        self._add(recipes, 0)

    @raises_broker_down()
    def _add(self, recipes: Iterable[Any], delay: float) -> None:
        if not self._told_of_changes:
            return
        changes = [[recipe.key, json.dumps(recipe.as_json())] for recipe in recipes if isinstance(recipe, Mezzanine)]
        for begin in range(0, len(changes), AT_ONCE):
            text = json.dumps(changes[begin : begin + AT_ONCE])
            for hook in self._told_of_changes:
                self._run("add", hook, {"changes": text, "delay": delay * 1000})

    @raises_broker_down()
    def send_once(self) -> bool:
        """Return True if the caller is to send the chore: there are hooks, and nobody has sent it a moment ago."""
        wanted = bool(self._told_of_changes)
        return wanted and bool(self._redis.set(self._keys.downstream_sent, "1", nx=True, ex=SENT_SECONDS))

    @raises_broker_down()
    def begun(self) -> None:
        """Record that the chore has begun: changes from now on need another one."""
        self._redis.delete(self._keys.downstream_sent)

    @raises_broker_down()
    def any_due(self) -> bool:
        """Return True if some hook may be notified of something now, and no process does that already."""
        if not self.hooks:
            return False
        seconds, micros = self._redis.time()
        now = seconds * 1000 + micros // 1000
        pipe = self._redis.pipeline(transaction=False)
        for hook in self.hooks:
            keys = self._keys.of_hook(hook)
            pipe.zrangebyscore(keys["due"], "-inf", now, 0, 1)
            pipe.hget(keys["fault"], "until")
            pipe.exists(keys["holder"])
        answers = pipe.execute()
        states = zip(answers[::3], answers[1::3], answers[2::3], strict=True)
        return any(due and float(until or 0) <= now and not held for due, until, held in states)

    # --- for the one process that notifies a hook

    @raises_broker_down()
    def hold(self, hook: str, seconds: float) -> str | None:
        """Let this process alone notify *hook* for so many *seconds*. Returns the name of the hold.

        Returns None if another process holds it.
        """
        holder, key = uuid4().hex, self._keys.of_hook(hook)["holder"]
        return holder if self._redis.set(key, holder, nx=True, px=int(seconds * 1000)) else None

    @raises_broker_down()
    def renew(self, hook: str, holder: str, seconds: float) -> bool:
        """Hold *hook* for so many *seconds* more. Returns False if the hold has ended."""
        return bool(self._run("renew", hook, {"holder": holder, "held_ms": int(seconds * 1000)}))

    @raises_broker_down()
    def let_go(self, hook: str, holder: str) -> None:
        """End the hold."""
        self._run("let_go", hook, {"holder": holder})

    @raises_broker_down()
    def take(self, hook: str, holder: str, most: int) -> list[Change]:
        """Return at most so many changes that are due, the oldest first. They wait until they are settled.

        Those of recipes that only a newer version knows are delayed: a worker of that version takes them.
        """
        answer = cast("list[str]", self._run("take", hook, {"most": most, "holder": holder}))
        changes = []
        for name, text in zip(answer[::2], answer[1::2], strict=True):
            entry = json.loads(text)
            try:
                changes.append(_change(name, entry))
            except BadRecipe as unknown:
                self._settle(hook, name, entry["version"], "delayed", reason=unknown.detail, pause_ms=UNKNOWN_MS)
        return changes

    def delivered(self, hook: str, change: Change, again: float) -> None:
        """Forget *change*, or have it repeated once in *again* seconds; 0 for never."""
        self._settle(hook, change.name, change.version, "delivered", again_ms=again * 1000)

    def delay(self, hook: str, change: Change, reason: str, seconds: float) -> None:
        """Have *change* tried again in so many *seconds*."""
        self._settle(hook, change.name, change.version, "delayed", reason=reason, pause_ms=seconds * 1000)

    def give_up(self, hook: str, change: Change, reason: str) -> None:
        """Try *change* no more, and list it."""
        self._settle(hook, change.name, change.version, "given-up", reason=reason)

    @raises_broker_down()
    def rest(self, hook: str, reason: str, least: float = 0) -> float:
        """Record a failure of *hook* and leave it alone for a while, *least* seconds or more. Returns the seconds."""
        args: Arguments = {"reason": reason, "first_ms": FIRST_REST * 1000, "longest_ms": LONGEST_REST * 1000}
        return float(self._run("rest", hook, args | {"least_ms": least * 1000})) / 1000

    @raises_broker_down()
    def recovered(self, hook: str) -> None:
        """Forget the failures of *hook*: it has accepted something."""
        self._redis.delete(self._keys.of_hook(hook)["fault"])

    # --- for operators

    @raises_broker_down()
    def status(self, hook: str) -> HookStatus:
        """Return what an operator should know of *hook*, in one round trip."""
        keys = self._keys.of_hook(hook)
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcard(keys["due"])
        pipe.llen(keys["failed"])
        pipe.get(keys["lost"])
        pipe.hmget(keys["fault"], "reason", "since")
        waiting, failed, lost, (reason, since) = pipe.execute()
        return HookStatus(waiting, failed, int(lost or 0), reason, float(since or 0) / 1000)

    @raises_broker_down()
    def failed(self, hook: str) -> list[dict[str, Any]]:
        """Return what was given up, with `recipe` (JSON), `reason` and `at` (milliseconds), the newest first."""
        texts = cast("list[str]", self._redis.lrange(self._keys.of_hook(hook)["failed"], 0, -1))
        return [json.loads(text) for text in texts]

    @raises_broker_down()
    def retry(self, hook: str) -> int:
        """Have *hook* notified at once of what failed and of what was given up. Returns how many were given up."""
        return int(self._run("retry", hook, {"most": RETRIED_MOST}))

    @raises_broker_down()
    def _settle(self, hook: str, name: str, version: str, outcome: str, **given: float | str) -> None:
        args: Arguments = {"name": name, "version": version, "outcome": outcome}
        args |= {"reason": "", "again_ms": 0, "pause_ms": 0, "listed": FAILED_MOST, "listed_seconds": FAILED_KEPT}
        self._run("settle", hook, args | given)

    def _run(self, script: str, hook: str, args: Arguments) -> Any:
        return self._scripts.run(f"downstream/{script}", self._keys.of_hook(hook), args)


def _change(name: str, entry: dict[str, Any]) -> Change:
    recipe, ended = from_json(json.loads(entry["recipe"])), entry.get("ended")
    return Change(
        name, recipe, entry["version"], entry["since"] / 1000, int(entry["attempts"]), _end(ended) if ended else None
    )


def _end(fields: dict[str, Any]) -> JobEnd:
    failure = json.loads(fields["failure"] or "{}")
    return JobEnd(fields["what"], fields["at"] / 1000, failure, list(fields["batches"]))
