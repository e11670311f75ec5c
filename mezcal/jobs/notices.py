"""What needs a person, in Redis: since when, and which notices of it were delivered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.jobs.state.keys import Keys


class NoticeState:
    """The records of notices by name. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def read(self) -> dict[str, dict[str, Any]]:
        """Return all records."""
        found = cast("dict[str, str]", self._redis.hgetall(self._keys.notices))
        return {name: json.loads(record) for name, record in found.items()}

    @raises_broker_down()
    def save(self, name: str, record: dict[str, Any]) -> None:
        """Save the record *name*."""
        self._redis.hset(self._keys.notices, name, json.dumps(record))

    @raises_broker_down()
    def remove(self, name: str) -> None:
        """Delete the record *name*."""
        self._redis.hdel(self._keys.notices, name)
