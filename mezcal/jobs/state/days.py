"""Counts of the whole installation by day (UTC), kept for 400 days: at most 40 KB of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from redis.exceptions import WatchError

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis import Redis

    from mezcal.jobs.state.keys import Keys

BLOCK = 32  # days in one hash: few enough fields for Redis to pack it
KEPT_DAYS = 400
KEPT_SECONDS = (KEPT_DAYS + BLOCK) * 86_400


class DayCounts:
    """Counts by day; a day is its number since 1970. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def counted_minutes(self) -> int:
        """Return the number of the first minute that is not added to its day yet, 0 at the beginning."""
        return int(cast("str | None", self._redis.get(self._keys.counted_minutes)) or 0)

    @raises_broker_down()
    def add(self, known: int, counted: int, counts: Mapping[int, Mapping[str, int]]) -> bool:
        """Add *counts* of the minutes from *known* to *counted* to those of their days.

        Returns False if another process has added them meanwhile: nothing is counted twice.
        """
        with self._redis.pipeline() as pipe:
            pipe.watch(self._keys.counted_minutes)
            if int(cast("str | None", pipe.get(self._keys.counted_minutes)) or 0) != known:
                return False
            pipe.multi()
            pipe.set(self._keys.counted_minutes, counted, ex=KEPT_SECONDS)
            for day, grown in counts.items():
                for name, count in grown.items():
                    pipe.hincrby(self._key(day), _field(day, name), count)
                pipe.expire(self._key(day), KEPT_SECONDS)
            try:
                pipe.execute()
            except WatchError:
                return False
            return True

    @raises_broker_down()
    def set(self, day: int, values: Mapping[str, int]) -> None:
        """Set *values* of *day*, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hset(self._key(day), mapping={_field(day, name): value for name, value in values.items()})
        pipe.expire(self._key(day), KEPT_SECONDS)
        pipe.execute()

    @raises_broker_down()
    def read(self, days: Iterable[int]) -> list[dict[str, int]]:
        """Return the counts of each of *days*, empty for one without any, in one round trip."""
        days = list(days)
        blocks = sorted({day // BLOCK for day in days})
        pipe = self._redis.pipeline(transaction=False)
        for block in blocks:
            pipe.hgetall(self._keys.days(block))
        found: dict[int, dict[str, int]] = {}
        for block, fields in zip(blocks, cast("list[dict[str, str]]", pipe.execute()), strict=True):
            for field, value in fields.items():
                place, _, name = field.partition(":")
                found.setdefault(block * BLOCK + int(place), {})[name] = int(value)
        return [found.get(day, {}) for day in days]

    def _key(self, day: int) -> str:
        return self._keys.days(day // BLOCK)


def _field(day: int, name: str) -> str:
    return f"{day % BLOCK}:{name}"
