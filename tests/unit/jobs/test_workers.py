"""The list of workers, by their heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.jobs import Worker, WorkerRegistry
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.workers import KEPT

if TYPE_CHECKING:
    from tests.support.broker import Broker


@pytest.fixture
def keys() -> Keys:
    return Keys(f"{uuid4().hex}:")


@pytest.fixture
def workers(broker: Broker, keys: Keys) -> WorkerRegistry:
    return WorkerRegistry(broker.client(), keys)


def test_a_worker_is_listed_until_it_is_removed(workers: WorkerRegistry) -> None:
    one, other = Worker("mezcal@a:1", 2, ("bulk", "interactive")), Worker("mezcal@b:1", 4, ("bulk",))
    for worker in (one, other):
        workers.heartbeat(worker)
    workers.remove(other)
    (seen,) = workers.statuses()
    assert (seen.worker, seen.silent) == (one, False)


def test_a_worker_without_a_heartbeat_is_silent_and_then_gone(
    broker: Broker, keys: Keys, workers: WorkerRegistry
) -> None:
    workers.heartbeat(Worker("mezcal@a:1", 2, ("bulk",)))
    redis = broker.client()
    (member,) = redis.zrange(keys.workers, 0, -1)
    redis.zincrby(keys.workers, -30, member)
    (seen,) = workers.statuses()
    assert seen.silent
    assert 29 < seen.seconds < 40
    redis.zincrby(keys.workers, -KEPT, member)
    assert workers.statuses() == []
