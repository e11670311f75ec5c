"""Thumbnails that the science archive is still to be told of. They survive outages and restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

    from mezcal.jobs.state.keys import Keys
    from mezcal.recipe import Recipe

REFUSED_KEPT = 30 * 86_400  # seconds
REFUSED_MOST = 100
REFUSED_LATELY = 86_400.0  # seconds
STUCK_ATTEMPTS = 6  # with the pauses between them, five minutes
LOOKED_AT = 20  # of those that wait, the ones that are due last: they have failed most often


@dataclass(frozen=True, slots=True)
class WaitingRegistration:
    """One thumbnail, as its recipe (JSON), with the number of attempts that failed."""

    key: str
    recipe: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class RegistrationStatus:
    """How many thumbnails wait to be registered, and how many were refused in the last day.

    *stuck* is True if some that wait have failed for five minutes or longer.
    """

    waiting: int
    stuck: bool
    refused: int


class Registrations:
    """The thumbnails to register. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def add(self, recipes: Iterable[Recipe]) -> None:
        """Have *recipes* registered as soon as may be. One that waits already is not added again."""
        pipe = self._redis.pipeline()
        for recipe in recipes:
            text = json.dumps({"recipe": recipe.as_json(), "attempts": 0}, separators=(",", ":"))
            pipe.hset(self._keys.registrations, recipe.key, text)
            pipe.zadd(self._keys.registrations_due, {recipe.key: 0})
        pipe.execute()

    @raises_broker_down()
    def any_due(self) -> bool:
        """Return True if one may be tried now."""
        return bool(self._redis.zrangebyscore(self._keys.registrations_due, "-inf", self._now(), 0, 1))

    @raises_broker_down()
    def take(self, most: int, seconds: float) -> list[WaitingRegistration]:
        """Take at most so many that may be tried now. Those that are not settled within *seconds* may be taken again.

        Two workers may take the same in the same moment: registering twice does no harm.
        """
        now = self._now()
        names = cast("list[str]", self._redis.zrangebyscore(self._keys.registrations_due, "-inf", now, 0, most))
        if not names:
            return []
        self._redis.zadd(self._keys.registrations_due, dict.fromkeys(names, now + seconds), xx=True)
        texts = cast("list[str | None]", self._redis.hmget(self._keys.registrations, names))
        found = [(name, json.loads(text)) for name, text in zip(names, texts, strict=True) if text]
        return [WaitingRegistration(name, fields["recipe"], int(fields["attempts"])) for name, fields in found]

    @raises_broker_down()
    def done(self, key: str) -> None:
        """Forget the thumbnail *key*: it is registered, or gone."""
        pipe = self._redis.pipeline()
        pipe.hdel(self._keys.registrations, key)
        pipe.zrem(self._keys.registrations_due, key)
        pipe.execute()

    @raises_broker_down()
    def delay(self, waiting: WaitingRegistration, seconds: float) -> None:
        """Have *waiting* tried again in so many *seconds*."""
        text = json.dumps({"recipe": waiting.recipe, "attempts": waiting.attempts + 1}, separators=(",", ":"))
        pipe = self._redis.pipeline()
        pipe.hset(self._keys.registrations, waiting.key, text)
        pipe.zadd(self._keys.registrations_due, {waiting.key: self._now() + seconds})
        pipe.execute()

    @raises_broker_down()
    def refuse(self, key: str, about: str, reason: str) -> None:
        """Try the thumbnail *key* no more, and list it with the *reason*. Of those listed, the newest are kept."""
        pipe = self._redis.pipeline()
        pipe.hdel(self._keys.registrations, key)
        pipe.zrem(self._keys.registrations_due, key)
        record = {"about": about, "reason": reason, "at": self._now()}
        pipe.lpush(self._keys.registrations_refused, json.dumps(record))
        pipe.ltrim(self._keys.registrations_refused, 0, REFUSED_MOST - 1)
        pipe.expire(self._keys.registrations_refused, REFUSED_KEPT)
        pipe.execute()

    @raises_broker_down()
    def waiting(self) -> int:
        """Return how many wait."""
        return self._redis.zcard(self._keys.registrations_due)

    @raises_broker_down()
    def status(self) -> RegistrationStatus:
        """Return what an operator should know, in three round trips."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcard(self._keys.registrations_due)
        pipe.zrange(self._keys.registrations_due, 0, LOOKED_AT - 1, desc=True)
        pipe.lrange(self._keys.registrations_refused, 0, -1)
        waiting, last, refused = pipe.execute()
        texts = cast("list[str | None]", self._redis.hmget(self._keys.registrations, last)) if last else []
        stuck = any(json.loads(text)["attempts"] >= STUCK_ATTEMPTS for text in texts if text)
        since = self._now() - REFUSED_LATELY
        return RegistrationStatus(waiting, stuck, sum(json.loads(text)["at"] >= since for text in refused))

    @raises_broker_down()
    def refused(self) -> list[dict[str, Any]]:
        """Return those that are tried no more, with `about`, `reason` and `at` (seconds since 1970), newest first."""
        texts = cast("list[str]", self._redis.lrange(self._keys.registrations_refused, 0, -1))
        return [json.loads(text) for text in texts]

    def _now(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds + micros / 1e6)
