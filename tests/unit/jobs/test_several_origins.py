"""Several origins: each has its own places and its own circuit breaker, and none takes all processes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.errors import Failure, OriginFailed, OriginUnknown
from mezcal.jobs import Jobs, Lane
from mezcal.jobs.origin_guard import OriginGuard
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.leases import Lease
from mezcal.jobs.state.policy import JobPolicy, OriginLimits
from mezcal.jobs.state.records import Verdict
from mezcal.jobs.state.table import JobTable
from mezcal.jobs.workers import Worker, WorkerRegistry
from mezcal.recipe import Mezzanine
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.broker import Broker

SLOW, FAST = OriginLimits("slow", "slow/", places=1), OriginLimits("fast", "fast/", breaker_failures=2)
REST = OriginLimits("")


@pytest.fixture
def table(broker: Broker) -> JobTable:
    return JobTable(broker.client(), Keys(f"{uuid4().hex}:"), JobPolicy(several=(SLOW, FAST, REST)))


def ask(table: JobTable, *paths: str) -> None:
    for path in paths:
        assert table.ensure(Mezzanine.parse(path), Lane.INTERACTIVE).verdict is Verdict.PUBLISH


def next_path(table: JobTable) -> str | None:
    claim = table.begin_next("w")
    return claim.recipe["path"] if claim else None


def test_a_job_of_an_origin_without_a_free_place_is_passed_over(table: JobTable) -> None:
    ask(table, "slow/1.tif", "slow/2.tif", "fast/1.tif", "other.tif")
    first = table.begin_next("w")
    assert first is not None
    assert first.recipe["path"] == "slow/1.tif"
    assert [next_path(table) for _ in range(3)] == ["fast/1.tif", "other.tif", None]
    assert table.finish(first)
    assert next_path(table) == "slow/2.tif", "now it is its turn"


def test_an_origin_without_a_bound_leaves_a_process_for_each_other_one(table: JobTable) -> None:
    WorkerRegistry(table.redis, table.keys).heartbeat(Worker("w", 4, ("interactive", "bulk")))
    ask(table, *(f"fast/{number}.tif" for number in range(4)), "slow/1.tif")
    begun = [next_path(table) for _ in range(4)]
    assert begun == ["fast/0.tif", "fast/1.tif", "slow/1.tif", None]


def test_one_origin_that_fails_pauses_no_other(table: JobTable) -> None:
    guard = OriginGuard(table)
    for number in range(2):
        recipe = Mezzanine.parse(f"fast/{number}.tif")
        table.ensure(recipe, Lane.BULK)
        claim = table.begin(recipe.key, "w")
        assert claim is not None
        with suppress(Failure), guard.admit(Lease(table, claim)):
            raise OriginFailed("503")
    assert guard.circuit("fast").state == "open", "after as many failures as its own table says"
    assert guard.circuit("slow").state == "closed"
    assert table.ensure(Mezzanine.parse("fast/9.tif"), Lane.INTERACTIVE).verdict is Verdict.ORIGIN_PAUSED
    ask(table, "slow/9.tif")


def test_a_path_that_no_origin_has_is_refused_before_it_is_queued(tmp_path: Path) -> None:
    file = tmp_path / "origins.toml"
    file.write_text('[maps]\nprefix = "maps"\nurl = "https://maps.example.edu/"\n')
    jobs = Jobs.of(load(_env_file=None, origins_file=file, redis_url="redis://127.0.0.1:1/0"))
    with pytest.raises(OriginUnknown, match="no origin has masters at this path"):
        jobs.ask(Mezzanine.parse("plates/1.tif"))
    assert jobs.limited_origins == {"maps": "Origin maps"}
