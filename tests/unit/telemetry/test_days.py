"""The counts of each day."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.jobs import DayCounts, Jobs
from mezcal.settings import load
from mezcal.store.usage import Usage
from mezcal.telemetry.days import count_minutes, last_days, record_size

if TYPE_CHECKING:
    from tests.support.broker import Broker

DAY = 86_400
MIDNIGHT = 20_600 * DAY


@pytest.fixture
def jobs(broker: Broker) -> Jobs:
    return Jobs.of(load(_env_file=None, redis_url=broker.url, key_prefix=f"{uuid4().hex}:"))


def count(jobs: Jobs, at: float, hits: int, misses: int = 0, failed: int = 0) -> None:
    jobs.minutes.add(int(at) // 60, {"requests:hit": hits, "requests:miss": misses, "jobs:failed": failed})


def test_each_minute_is_added_once_to_its_day(jobs: Jobs) -> None:
    count(jobs, MIDNIGHT - 60, hits=5, misses=5)
    count(jobs, MIDNIGHT + 60, hits=3, failed=2)
    count(jobs, MIDNIGHT + 600, hits=1)  # still changing
    for _ in range(2):
        count_minutes(jobs, MIDNIGHT + 600)
    count(jobs, MIDNIGHT + 600, hits=1)
    count_minutes(jobs, MIDNIGHT + 1200)
    record_size(jobs.days, Usage(7, 7000), MIDNIGHT + 1200)
    before, today = last_days(jobs.days, MIDNIGHT + 1200)
    assert (before.hits, before.misses, before.hit_rate, before.images) == (5, 5, 0.5, None)
    assert (today.at, today.hits, today.failures, today.images, today.bytes) == (MIDNIGHT, 5, 2, 7, 7000)


def test_two_processes_at_once_add_a_minute_once(jobs: Jobs) -> None:
    assert jobs.days.add(0, 10, {20_600: {"hits": 1}})
    assert not jobs.days.add(0, 10, {20_600: {"hits": 1}})
    assert jobs.days.read([20_600]) == [{"hits": 1}]


def test_a_clock_that_steps_back_counts_nothing_twice(jobs: Jobs) -> None:
    count(jobs, MIDNIGHT, hits=1)
    count_minutes(jobs, MIDNIGHT + 600)
    count_minutes(jobs, MIDNIGHT + 300)
    assert [day.hits for day in last_days(jobs.days, MIDNIGHT + 600)] == [1]


def test_no_day_is_no_value(jobs: Jobs) -> None:
    assert last_days(jobs.days, MIDNIGHT) == []
    assert jobs.days.read([]) == []


def test_400_days_of_a_busy_installation_take_less_than_50_kilobytes(jobs: Jobs, broker: Broker) -> None:
    redis, days = broker.client(), jobs.days
    for day in range(20_000, 20_400):
        days.set(day, {"hits": 12_345_678, "misses": 123_456, "failures": 1_234, "images": 2**31, "bytes": 2**43})
    keys = redis.keys(f"{jobs.table.keys.prefix}days:*")
    assert sum(redis.memory_usage(key) for key in keys) < 50_000
    assert all(redis.ttl(key) > 400 * DAY for key in keys)
    assert len(last_days(DayCounts(redis, jobs.table.keys), 20_399 * DAY)) == 400
