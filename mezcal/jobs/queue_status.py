"""The numbers of jobs at this moment, as one value: for metrics and for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mezcal.jobs.state.keys import JobState, Lane

if TYPE_CHECKING:
    from mezcal.jobs.state.table import JobTable

BLOCK = 500  # failures that are read in one round trip


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Numbers of jobs. *ages* are the seconds for which the oldest job of a lane has been queued, 0 without any."""

    queued: dict[Lane, int]
    ages: dict[Lane, float]
    running: int
    delayed: int
    failed: int
    quarantined: int
    chunks: int


def queue_status(table: JobTable) -> QueueStatus:
    """Read the status in two round trips, and one more per 500 in quarantine. Raises `redis.RedisError`."""
    keys, lanes = table.keys, list(Lane)
    pipe = table.redis.pipeline(transaction=False)
    pipe.time()
    for lane in lanes:
        pipe.zcard(keys.queued(lane))
        pipe.zrange(keys.queued(lane), 0, 0, withscores=True)
    for name in (keys.running, keys.delayed, keys.failed, keys.chunks):
        pipe.zcard(name)
    (seconds, microseconds), *answers = pipe.execute()
    depths, oldest = answers[: 2 * len(lanes) : 2], answers[1 : 2 * len(lanes) : 2]
    running, delayed, failed, chunks = answers[2 * len(lanes) :]
    now = seconds + microseconds / 1e6
    return QueueStatus(
        queued=dict(zip(lanes, depths, strict=True)),
        ages={lane: _age(members, now) for lane, members in zip(lanes, oldest, strict=True)},
        running=running,
        delayed=delayed,
        failed=failed,
        quarantined=_quarantined(table) if failed else 0,
        chunks=chunks,
    )


def _age(members: list[tuple[str, float]], now: float) -> float:
    return max(0.0, now - members[0][1] / 1000) if members else 0.0


def _quarantined(table: JobTable) -> int:
    """Count the quarantined jobs. They are remembered longest, so they come first: the rest need not be read."""
    count = start = 0
    while True:
        keys = cast("list[str]", table.redis.zrange(table.keys.failed, start, start + BLOCK - 1, desc=True))
        found = table.states(keys).count(JobState.QUARANTINED) if keys else 0
        count, start = count + found, start + BLOCK
        if not found or len(keys) < BLOCK:
            return count
