"""The workers of the installation, each by the heartbeat that it sends every two seconds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.jobs.state.keys import Keys

SILENT_SECONDS = 20  # a frozen broker stops a worker's event loop for ten
KEPT = 600  # seconds for which a silent worker is still listed
LIST_KEPT = 86_400  # seconds after the last heartbeat of any worker


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker: its *name*, how many *processes* make derivatives in it, which *queues* it takes from."""

    name: str
    processes: int
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker and the *seconds* since its last heartbeat."""

    worker: Worker
    seconds: float

    @property
    def silent(self) -> bool:
        """True if a heartbeat is overdue: the worker hangs, was killed, or cannot reach the broker."""
        return self.seconds > SILENT_SECONDS


class WorkerRegistry:
    """The list of workers in Redis. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def heartbeat(self, worker: Worker) -> None:
        """Record that *worker* is alive now."""
        now = self._now()
        pipe = self._redis.pipeline(transaction=False)
        pipe.zadd(self._keys.workers, {_as_json(worker): now})
        pipe.zremrangebyscore(self._keys.workers, "-inf", now - KEPT)
        pipe.expire(self._keys.workers, LIST_KEPT)
        pipe.execute()

    @raises_broker_down()
    def remove(self, worker: Worker) -> None:
        """Remove *worker* from the list: it shuts down."""
        self._redis.zrem(self._keys.workers, _as_json(worker))

    @raises_broker_down()
    def statuses(self) -> list[WorkerStatus]:
        """Return the workers with a heartbeat in the last ten minutes, by name."""
        now = self._now()
        members = cast("list[tuple[str, float]]", self._redis.zrange(self._keys.workers, 0, -1, withscores=True))
        seen = [WorkerStatus(_from_json(member), max(0.0, now - at)) for member, at in members if now - at <= KEPT]
        return sorted(seen, key=lambda status: status.worker.name)

    def _now(self) -> float:
        seconds, microseconds = self._redis.time()
        return float(seconds) + float(microseconds) / 1e6


def _as_json(worker: Worker) -> str:
    return json.dumps(asdict(worker), sort_keys=True)


def _from_json(text: str) -> Worker:
    fields = json.loads(text)
    return Worker(fields["name"], fields["processes"], tuple(fields["queues"]))
