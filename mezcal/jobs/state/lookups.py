"""Reads the job table, without changing it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from mezcal.jobs.state.keys import JobState, Keys, Lane
from mezcal.jobs.state.records import Record, record_of

if TYPE_CHECKING:
    from redis import Redis


class JobLookups:
    """The table's look-ups. Every method raises `redis.RedisError` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    def read(self, key: str) -> Record | None:
        """Return the job *key*, None if it is not in the table."""
        fields = cast("dict[str, str]", self.redis.hgetall(self.keys.job(key)))
        return record_of(key, fields) if fields.get("state") else None

    def states(self, keys: list[str]) -> list[JobState | None]:
        """Return the state of each job, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.hget(self.keys.job(key), "state")
        return [JobState(state) if state else None for state in pipe.execute()]

    def remembered_until(self, key: str) -> float | None:
        """Return when the failure of *key* is forgotten, in seconds since 1970; None if none is remembered."""
        until = self.redis.zscore(self.keys.failed, key)
        return None if until is None or math.isinf(until) else until / 1000

    def failures(self, most: int = 100, skipped: int = 0) -> list[Record]:
        """Return the failed and quarantined jobs after *skipped* others; those remembered longest come first."""
        keys = self.redis.zrange(self.keys.failed, skipped, skipped + most - 1, desc=True)
        return self.records(cast("list[str]", keys))

    def running(self, most: int) -> list[Record]:
        """Return at most so many of the running jobs; those whose leases end first come first."""
        return self.records(cast("list[str]", self.redis.zrange(self.keys.running, 0, most - 1)))

    def delayed(self, most: int) -> list[Record]:
        """Return at most so many of the delayed jobs that have failed; those whose next attempt comes first lead."""
        records = self.records(cast("list[str]", self.redis.zrange(self.keys.delayed, 0, most - 1)))
        return [record for record in records if record.state is JobState.DELAYED and record.failure]

    def records(self, keys: list[str]) -> list[Record]:
        """Return those of the jobs *keys* that are in the table, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.hgetall(self.keys.job(key))
        found = zip(keys, pipe.execute(), strict=True)
        return [record_of(key, fields) for key, fields in found if fields.get("state")]

    def depths(self) -> dict[str, int]:
        """Return how many jobs are queued (by lane), `running`, `delayed`, and remembered as `failed`."""
        pipe = self.redis.pipeline(transaction=False)
        sets = {str(lane): self.keys.queued(lane) for lane in Lane}
        sets |= {"running": self.keys.running, "delayed": self.keys.delayed, "failed": self.keys.failed}
        for name in sets.values():
            pipe.zcard(name)
        return dict(zip(sets, pipe.execute(), strict=True))
