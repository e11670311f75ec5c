"""The chores' state in Redis: the worker of each chore in this interval, the position of the walk through the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

    from mezcal.jobs.state.keys import Keys

CURSOR_KEPT = 7 * 86_400  # seconds; a walk that paused for longer begins at the first folder again


class ChoreState:
    """The chores' state in Redis. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def claim(self, intervals: Mapping[str, float], worker: str) -> list[str]:
        """Return the chores that *worker* is to do now; *intervals* are the seconds between two times, by their names.

        It is one round trip, because the caller's event loop waits for it.
        """
        pipe = self._redis.pipeline(transaction=False)
        for name, seconds in intervals.items():
            pipe.set(self._keys.chore(name), worker, nx=True, px=int(seconds * 1000))
        return [name for name, taken in zip(intervals, pipe.execute(), strict=True) if taken]

    @raises_broker_down()
    def postpone(self, name: str, seconds: float) -> None:
        """Let the chore *name* run again only in so many *seconds*."""
        self._redis.set(self._keys.chore(name), "", px=int(seconds * 1000))

    @raises_broker_down()
    def release(self, name: str) -> None:
        """Let the chore *name* run again at once."""
        self._redis.delete(self._keys.chore(name))

    @raises_broker_down()
    def cursor(self) -> str:
        """Return the folder or object up to which the walk through the store has come, "" at its beginning."""
        return str(self._redis.get(self._keys.cursor) or "")

    @raises_broker_down()
    def save_cursor(self, cursor: str) -> None:
        """Save the position of the walk."""
        self._redis.set(self._keys.cursor, cursor, ex=CURSOR_KEPT)
