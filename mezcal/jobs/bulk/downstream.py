"""Changed derivatives of which hooks downstream are still to be sent. They survive outages and restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from mezcal.jobs.outages import raises_broker_down
from mezcal.recipe import Mezzanine, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.jobs.state.scripts import Arguments
    from mezcal.jobs.state.table import JobTable

ANNOUNCED_SECONDS = 10.0  # in which a deletion that was announced has happened, or its process has died
KEPT_SECONDS = 3 * 86_400  # after the last change: those of a hook that is configured no more expire
FAILED_MOST, FAILED_KEPT = 1000, 30 * 86_400
FIRST_REST, LONGEST_REST = 2.0, 60.0  # seconds for which a hook is left alone after failures
SENT_SECONDS = 10  # for which a chore that was sent is waited for, before another one is sent
AT_ONCE = 500  # changes in one call of a script
RETRIED_MOST = 10_000  # of those that wait


@dataclass(frozen=True, slots=True)
class Change:
    """A derivative that was replaced or deleted. *version* differs for each change; times are seconds since 1970."""

    key: str
    recipe: Mezzanine
    version: str
    since: float
    attempts: int


@dataclass(frozen=True, slots=True)
class HookStatus:
    """How many changes wait for one hook and how many were given up; the *fault* of now and *since* when it lasts."""

    waiting: int
    failed: int
    fault: str | None
    since: float


class Downstream:
    """The changes to send, for each hook. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, table: JobTable) -> None:
        self._redis, self._keys, self._scripts = table.redis, table.keys, table.scripts
        self.hooks = table.policy.hooks

    def announce(self, recipes: Iterable[Any]) -> None:
        """Announce the deletion of the derivatives of *recipes*: hooks are notified in a while if this process dies.

        `add` follows when they are deleted.
        """
        self._add(recipes, ANNOUNCED_SECONDS)

    def add(self, recipes: Iterable[Any]) -> None:
        """Have all hooks notified soon that the derivatives of *recipes* were replaced or deleted.

        Thumbnails are left out: their keys have the versions of their frames.
        """
        self._add(recipes, 0)

    @raises_broker_down()
    def _add(self, recipes: Iterable[Any], delay: float) -> None:
        if not self.hooks:
            return
        changes = [[recipe.key, recipe.as_json()] for recipe in recipes if isinstance(recipe, Mezzanine)]
        for begin in range(0, len(changes), AT_ONCE):
            text = json.dumps(changes[begin : begin + AT_ONCE], separators=(",", ":"))
            for hook in self.hooks:
                args: Arguments = {"changes": text, "delay": delay * 1000, "nonce": uuid4().hex[:8]}
                self._run("add", hook, args | {"kept": KEPT_SECONDS, "again": "1"})

    @raises_broker_down()
    def send_once(self) -> bool:
        """Return True if the caller is to send the chore: there are hooks, and nobody has sent it a moment ago."""
        return bool(self.hooks and self._redis.set(self._keys.downstream_sent, "1", nx=True, ex=SENT_SECONDS))

    @raises_broker_down()
    def begun(self) -> None:
        """Record that the chore has begun: changes from now on need another one."""
        self._redis.delete(self._keys.downstream_sent)

    @raises_broker_down()
    def any_due(self) -> bool:
        """Return True if some hook may be notified of something now."""
        if not self.hooks:
            return False
        seconds, micros = self._redis.time()
        now = seconds * 1000 + micros // 1000
        pipe = self._redis.pipeline(transaction=False)
        for hook in self.hooks:
            pipe.zrangebyscore(self._keys.of_hook(hook)["due"], "-inf", now, 0, 1)
            pipe.hget(self._keys.of_hook(hook)["fault"], "until")
        answers = pipe.execute()
        return any(due and float(until or 0) <= now for due, until in zip(answers[::2], answers[1::2], strict=True))

    @raises_broker_down()
    def take(self, hook: str, most: int, seconds: float) -> list[Change]:
        """Take at most so many changes that are due. Nobody else gets them for so many *seconds*."""
        answer = cast("list[str]", self._run("take", hook, {"most": most, "held_ms": seconds * 1000}))
        return [_change(key, json.loads(text)) for key, text in zip(answer[::2], answer[1::2], strict=True)]

    def delivered(self, hook: str, change: Change, again: float) -> None:
        """Forget *change*, or have it repeated once in *again* seconds; 0 for never."""
        self._settle(hook, change, "delivered", again_ms=again * 1000)

    def delay(self, hook: str, change: Change, reason: str, seconds: float) -> None:
        """Have *change* tried again in so many *seconds*."""
        self._settle(hook, change, "delayed", reason=reason, pause_ms=seconds * 1000)

    def release(self, hook: str, change: Change) -> None:
        """Have *change*, which was not tried, tried as soon as may be."""
        self._settle(hook, change, "released")

    def give_up(self, hook: str, change: Change, reason: str) -> None:
        """Try *change* no more, and list it."""
        self._settle(hook, change, "given-up", reason=reason)

    @raises_broker_down()
    def rest(self, hook: str, reason: str) -> float:
        """Record a failure of *hook* and leave it alone for a while. Returns the seconds."""
        args: Arguments = {"reason": reason, "first_ms": FIRST_REST * 1000, "longest_ms": LONGEST_REST * 1000}
        return float(self._run("rest", hook, args | {"kept": KEPT_SECONDS})) / 1000

    @raises_broker_down()
    def recovered(self, hook: str) -> None:
        """Forget the failures of *hook*: it has accepted something."""
        self._redis.delete(self._keys.of_hook(hook)["fault"])

    @raises_broker_down()
    def status(self, hook: str) -> HookStatus:
        """Return what an operator should know of *hook*, in one round trip."""
        keys = self._keys.of_hook(hook)
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcard(keys["due"])
        pipe.llen(keys["failed"])
        pipe.hmget(keys["fault"], "reason", "since")
        waiting, failed, (reason, since) = pipe.execute()
        return HookStatus(waiting, failed, reason, float(since or 0) / 1000)

    @raises_broker_down()
    def failed(self, hook: str) -> list[dict[str, Any]]:
        """Return what was given up, with `recipe`, `reason` and `at` (milliseconds), the newest first."""
        texts = cast("list[str]", self._redis.lrange(self._keys.of_hook(hook)["failed"], 0, -1))
        return [json.loads(text) for text in texts]

    @raises_broker_down()
    def retry(self, hook: str) -> int:
        """Have *hook* notified at once of what failed and of what was given up. Returns how many were given up."""
        return int(self._run("retry", hook, {"most": RETRIED_MOST, "kept": KEPT_SECONDS}))

    @raises_broker_down()
    def _settle(self, hook: str, change: Change, outcome: str, **given: float | str) -> None:
        args: Arguments = {
            "key": change.key,
            "version": change.version,
            "outcome": outcome,
            "reason": "",
            "again_ms": 0,
        }
        args |= {"pause_ms": 0, "listed": FAILED_MOST, "listed_seconds": FAILED_KEPT} | given
        self._run("settle", hook, args)

    def _run(self, script: str, hook: str, args: Arguments) -> Any:
        return self._scripts.run(f"downstream/{script}", self._keys.of_hook(hook), args)


def _change(key: str, entry: dict[str, Any]) -> Change:
    recipe = cast("Mezzanine", from_json(entry["recipe"]))
    return Change(key, recipe, entry["version"], entry["since"] / 1000, int(entry["attempts"]))
