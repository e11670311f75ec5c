"""The workers that are there, by what each says of itself every two seconds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mezcal.jobs.state.table import JobTable

SILENT_SECONDS = 20  # a frozen broker holds a worker's event loop up for ten
KEPT = 600  # seconds for which one that fell silent is still told of
LEFT = 86_400  # seconds for which the list outlasts the last worker


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker: its *name*, how many *processes* make derivatives in it, which *queues* it takes from."""

    name: str
    processes: int
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker and how many *seconds* ago it last said that it is there."""

    worker: Worker
    seconds: float

    @property
    def silent(self) -> bool:
        """Whether it should have said so again by now: it hangs, was killed, or cannot reach the broker."""
        return self.seconds > SILENT_SECONDS


def sign_in(table: JobTable, worker: Worker) -> None:
    """Say that *worker* is there. Raises `redis.RedisError`."""
    now = _now(table)
    pipe = table.redis.pipeline(transaction=False)
    pipe.zadd(table.keys.workers, {_told(worker): now})
    pipe.zremrangebyscore(table.keys.workers, "-inf", now - KEPT)
    pipe.expire(table.keys.workers, LEFT)
    pipe.execute()


def sign_off(table: JobTable, worker: Worker) -> None:
    """Say that *worker* ends as it should. Raises `redis.RedisError`."""
    table.redis.zrem(table.keys.workers, _told(worker))


def workers_seen(table: JobTable) -> list[Seen]:
    """Those that are or were there within ten minutes, by name. Raises `redis.RedisError`."""
    now = _now(table)
    found = cast("list[tuple[str, float]]", table.redis.zrange(table.keys.workers, 0, -1, withscores=True))
    seen = [Seen(_worker(json.loads(told)), max(0.0, now - at)) for told, at in found if now - at <= KEPT]
    return sorted(seen, key=lambda one: one.worker.name)


def _now(table: JobTable) -> float:
    seconds, micros = table.redis.time()
    return float(seconds) + float(micros) / 1e6


def _told(worker: Worker) -> str:
    return json.dumps(asdict(worker), sort_keys=True)


def _worker(told: dict[str, Any]) -> Worker:
    return Worker(told["name"], told["processes"], tuple(told["queues"]))
