"""The jobs of one task: when a process begins no further job of its masters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest

from mezcal.jobs import Lane
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import Mezzanine
from worker import companions, stop_flag
from worker.app import app
from worker.companions import JobChain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs.state.records import Message

PAGES = [Mezzanine.parse("book.tif", page) for page in range(1, 6)]


class OpenMasters:
    """Masters that are open and have arrived, as `KeptMasters` would keep them."""

    any_open = True
    arrival = 0.0

    def close(self) -> None:
        """Close them."""
        self.any_open = False


class SentMessages:
    """The messages that were sent."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def send_all(self, messages: list[Message]) -> None:
        """Note *messages*."""
        self.labels += [message.label for message in messages]


@pytest.fixture
def sent() -> SentMessages:
    return SentMessages()


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, sent: SentMessages) -> JobTable:
    redis: Any = fakeredis.FakeRedis(decode_responses=True)
    table = JobTable(redis, Keys("x:"), JobPolicy(origins={"mezzanine": "repository.example"}))
    context = SimpleNamespace(
        jobs=SimpleNamespace(table=table, pipe=sent), name="w", origin_of=lambda _: SimpleNamespace(base_url="")
    )
    monkeypatch.setattr(companions, "context", lambda: context)
    monkeypatch.setattr(companions, "serves_bulk", lambda: True)
    monkeypatch.setitem(app.conf, "worker_max_memory_per_child", None)  # the process of the tests holds more
    return table


@pytest.fixture
def chain(table: JobTable) -> Iterator[JobChain]:
    """Begins the first page, while the others are held back for its process."""
    for page in PAGES:
        table.ensure(page, Lane.BULK)
    first = table.begin(PAGES[0].key, "w", "m")
    assert first is not None
    for page in PAGES[1:]:
        table.begin(page.key, "another")
    chain = JobChain(first, "m")
    masters: Any = OpenMasters()
    chain.masters = masters
    table.finish(first)
    with chain:
        yield chain


def ended(table: JobTable, chain: JobChain) -> int:
    """End one companion after the other. Returns how many."""
    return sum(table.finish(companion) for companion in chain.companions())


def test_a_process_begins_all_jobs_of_its_masters(table: JobTable, chain: JobChain) -> None:
    assert ended(table, chain) == len(PAGES) - 1


def test_while_its_worker_stops_a_process_begins_no_further_job(
    table: JobTable, chain: JobChain, sent: SentMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = bytearray(1)
    monkeypatch.setattr(stop_flag, "_shared_byte", lambda: flag)
    begun = 0
    for companion in chain.companions():
        table.finish(companion)
        begun += 1
        stop_flag.note_stop()
    assert begun == 1
    chain.__exit__(None, None, None)
    assert len(sent.labels) == len(PAGES) - 2, "the others get their messages at once"


def test_a_process_begins_so_many_companions_at_most(
    table: JobTable, chain: JobChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions, "COMPANIONS_MAX", 2)
    assert ended(table, chain) == 2


@pytest.mark.parametrize(("most", "begun"), [(1, 0), (None, len(PAGES) - 1), (10**9, len(PAGES) - 1)])
def test_a_process_that_celery_will_replace_for_its_memory_begins_no_further_job(
    table: JobTable, chain: JobChain, monkeypatch: pytest.MonkeyPatch, most: int | None, begun: int
) -> None:
    monkeypatch.setitem(app.conf, "worker_max_memory_per_child", most)
    assert ended(table, chain) == begun
