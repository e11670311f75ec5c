"""The chores' state in Redis: the worker of each chore in this interval, the position of the walk through the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.jobs.state.keys import Keys

CURSOR_KEPT = 7 * 86_400  # seconds; a walk that paused for longer begins at the first folder again


class ChoreState:
    """The chores' state in Redis. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def claim(self, name: str, worker: str, seconds: float) -> bool:
        """Return True if *worker* is to do the chore *name* in this interval of so many *seconds*."""
        return bool(self._redis.set(self._keys.chore(name), worker, nx=True, px=int(seconds * 1000)))

    @raises_broker_down()
    def postpone(self, name: str, seconds: float) -> None:
        """Let the chore *name* run again only in so many *seconds*."""
        self._redis.set(self._keys.chore(name), "", px=int(seconds * 1000))

    @raises_broker_down()
    def cursor(self) -> str:
        """Return the folder or object up to which the walk through the store has come, "" at its beginning."""
        return str(self._redis.get(self._keys.cursor) or "")

    @raises_broker_down()
    def save_cursor(self, cursor: str) -> None:
        """Save the position of the walk."""
        self._redis.set(self._keys.cursor, cursor, ex=CURSOR_KEPT)
