"""The periodic work of workers."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING
from uuid import uuid4

import fakeredis
import pytest

from mezcal.errors import Failure, MasterDenied, OriginTimeout, StoreDown
from mezcal.jobs import Jobs
from mezcal.jobs.chores import ChoreState
from mezcal.jobs.state.keys import Keys
from mezcal.origin import MasterStatus, open_origin
from mezcal.settings import load
from tests.support.origin_server import OriginServer
from worker.chores import CHORES, Chore, origin_probe
from worker.chores.origin_probe import ask, spread
from worker.tasks import run_chore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.broker import Broker


def test_a_chore_that_the_store_prevents_is_one_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise StoreDown("the object store refuses (501)")

    monkeypatch.setitem(CHORES, "empty", Chore("empty", 60, fail, lambda _: True))
    with caplog.at_level(logging.WARNING):
        assert run_chore("empty") == "store-down"
    [record] = caplog.records
    assert record.getMessage() == "the chore empty is not done: the object store refuses (501)"
    assert record.exc_info is None


class Answers:
    """Stands for an origin: answers requests with *failures*, then well."""

    def __init__(self, failures: Iterable[Failure]) -> None:
        self.failures = list(failures)
        self.asked: list[str] = []

    def revalidate(self, path: str, _etag: str | None, _last_modified: str | None) -> MasterStatus:
        self.asked.append(path)
        if self.failures:
            raise self.failures.pop(0)
        return MasterStatus.CHANGED


def test_the_probe_asks_for_another_master_if_one_is_closed_to_us() -> None:
    origin = Answers([MasterDenied("under an embargo")])
    ask(origin, ["a", "b", "c"])  # type: ignore[arg-type]
    assert origin.asked == ["a", "b"]
    with pytest.raises(MasterDenied):
        ask(Answers([MasterDenied("no credential")] * 3), ["a", "b", "c"])  # type: ignore[arg-type]


def test_the_probe_asks_an_origin_that_is_down_once() -> None:
    origin = Answers([OriginTimeout("it does not answer")] * 3)
    with pytest.raises(OriginTimeout):
        ask(origin, ["a", "b", "c"])  # type: ignore[arg-type]
    assert origin.asked == ["a"]


def test_the_probe_chooses_masters_that_are_no_neighbours() -> None:
    assert spread([]) == []
    assert spread(["a", "a"]) == ["a"]
    assert spread([f"{number}" for number in range(9)]) == ["0", "3", "6"]
    assert len(spread([f"{number}" for number in range(100)])) == 3


def test_each_chore_has_one_worker_in_each_interval() -> None:
    state = ChoreState(fakeredis.FakeRedis(decode_responses=True), Keys("x:"))
    assert state.claim({"trim": 60, "probe": 10}, "one") == ["trim", "probe"]
    assert state.claim({"trim": 60, "walk": 10}, "two") == ["walk"]
    assert state.claim({}, "one") == []
    state.release("walk")
    assert state.claim({"trim": 60, "walk": 10}, "one") == ["walk"]


def test_a_probe_that_waits_for_an_answer_has_no_second_one_beside_it(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds later the chore is due again: each one would hold a process until its time-out."""
    with OriginServer() as server:
        held = server.script("", delay=3600)
        settings = load(_env_file=None, repo_base_url=server.url, redis_url=broker.url, key_prefix=f"{uuid4().hex}:")
        ctx = SimpleNamespace(settings=settings, origin=open_origin(settings), jobs=Jobs.of(settings), name="w")
        monkeypatch.setattr(origin_probe, "context", lambda: ctx)
        [named] = settings.origins
        ctx.jobs.table.redis.hset(ctx.jobs.table.keys.circuit(named.limits_name), "paused_until", 1)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(origin_probe.probe)
            server.wait_for_requests("", 1)
            origin_probe.probe()
            assert (server.count(), first.done()) == (1, False)
            held.delay = 0
            server.leaving.set()
            first.result(60)
        assert ctx.jobs.circuit(named.limits_name).state == "closed"
