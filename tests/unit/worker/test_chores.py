"""The periodic work of workers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import fakeredis
import pytest

from mezcal.errors import Failure, MasterDenied, OriginTimeout, StoreDown
from mezcal.jobs.chores import ChoreState
from mezcal.jobs.state.keys import Keys
from mezcal.origin import MasterStatus
from worker.chores import CHORES, Chore
from worker.chores.origin_probe import ask, spread
from worker.tasks import run_chore

if TYPE_CHECKING:
    from collections.abc import Iterable


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
