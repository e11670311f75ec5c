"""The queue of a version whose keys had no mark of their origin. Only workers of that version take jobs from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.jobs.outages import raises_broker_down
from mezcal.jobs.state.keys import Keys, Lane
from mezcal.jobs.transport.celery_pipe import connect

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.settings import Settings


class FormerQueue:
    """What is left in the queue whose keys begin with *prefix* alone, the KEY_PREFIX."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis, self._keys = redis, Keys(prefix)

    @classmethod
    def of(cls, settings: Settings) -> FormerQueue:
        """The former queue of the installation that *settings* describe. Connects when first used."""
        return cls(connect(settings), settings.key_prefix)

    @raises_broker_down()
    def unfinished(self) -> int:
        """Return how many jobs, and chunks of batches, are not made yet. Raises `BrokerDown`."""
        keys = self._keys
        pipe = self._redis.pipeline(transaction=False)
        for name in (*map(keys.queued, Lane), keys.running, keys.delayed, keys.chunks):
            pipe.zcard(name)
        return sum(pipe.execute())
