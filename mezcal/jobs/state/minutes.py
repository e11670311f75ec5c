"""Counts of the whole installation by minute, kept for two hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis import Redis

    from mezcal.jobs.state.keys import Keys

KEPT_SECONDS = 2 * 3600


class MinuteCounts:
    """One hash of counts per minute. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def add(self, minute: int, counts: Mapping[str, int]) -> None:
        """Add *counts* to those of *minute* (minutes since 1970), in one round trip."""
        key = self._keys.minute(minute)
        pipe = self._redis.pipeline(transaction=False)
        for name, count in counts.items():
            pipe.hincrby(key, name, count)
        pipe.expire(key, KEPT_SECONDS)
        pipe.execute()

    @raises_broker_down()
    def read(self, minutes: Iterable[int]) -> list[dict[str, int]]:
        """Return the counts of each of *minutes*, empty for one without any, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for minute in minutes:
            pipe.hgetall(self._keys.minute(minute))
        found = cast("list[dict[str, str]]", pipe.execute())
        return [{name: int(count) for name, count in fields.items()} for fields in found]
