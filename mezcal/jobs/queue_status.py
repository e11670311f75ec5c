"""How the queue is at this moment, as one value: for metrics and for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mezcal.jobs.state.keys import JobState, Lane

if TYPE_CHECKING:
    from mezcal.jobs.state.table import JobTable

BLOCK = 500  # failures looked at in one round trip


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Numbers of jobs; *ages* are the seconds since the oldest queued job of a lane was, 0 without any."""

    queued: dict[Lane, int]
    ages: dict[Lane, float]
    running: int
    later: int
    failed: int
    quarantined: int
    chunks: int


def queue_status(table: JobTable) -> QueueStatus:
    """The queue now. Two round trips, and one more per 500 in quarantine. Raises `redis.RedisError`."""
    keys, lanes = table.keys, list(Lane)
    pipe = table.redis.pipeline(transaction=False)
    pipe.time()
    for lane in lanes:
        pipe.zcard(keys.queued(lane))
        pipe.zrange(keys.queued(lane), 0, 0, withscores=True)
    for name in (keys.running, keys.later, keys.failed, keys.chunks):
        pipe.zcard(name)
    (seconds, micros), *told = pipe.execute()
    depths, firsts, rest = told[: 2 * len(lanes) : 2], told[1 : 2 * len(lanes) : 2], told[2 * len(lanes) :]
    return QueueStatus(
        queued=dict(zip(lanes, depths, strict=True)),
        ages={lane: _age(first, seconds + micros / 1e6) for lane, first in zip(lanes, firsts, strict=True)},
        running=rest[0],
        later=rest[1],
        failed=rest[2],
        quarantined=_quarantined(table) if rest[2] else 0,
        chunks=rest[3],
    )


def _age(first: list[tuple[str, float]], now: float) -> float:
    return max(0.0, now - first[0][1] / 1000) if first else 0.0


def _quarantined(table: JobTable) -> int:
    """Those in quarantine are remembered longest, so they come first: the rest need not be looked at."""
    found = start = 0
    while True:
        known = cast("list[str]", table.redis.zrange(table.keys.failed, start, start + BLOCK - 1, desc=True))
        here = table.states(known).count(JobState.QUARANTINED) if known else 0
        found, start = found + here, start + BLOCK
        if not here or len(known) < BLOCK:
            return found
