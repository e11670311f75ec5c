"""Following jobs that were handed over in bulk, against a real broker; what workers do is done by hand here."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.errors import BrokerDown, MasterMissing
from mezcal.jobs import Jobs, Lane
from mezcal.jobs.bulk.follow_up import BulkFollowUp
from mezcal.jobs.state.records import QueueRequest
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.store import Store
    from tests.support.broker import Broker


@pytest.fixture
def follow_up(jobs: Jobs, store: Store) -> BulkFollowUp:
    return BulkFollowUp(jobs, store)


def recipes(count: int) -> list[Mezzanine]:
    return [Mezzanine(f"{uuid4().hex}/{number}") for number in range(count)]


def queue_one_chunk(jobs: Jobs) -> list[Mezzanine]:
    """Queue the jobs of one chunk, as a worker would."""
    [name] = jobs.chunks.due()[:1]
    chunk = jobs.chunks.take(name)
    assert chunk is not None
    wanted = [Mezzanine.parse(item[2]["path"]) for item in chunk.items]
    orders = [QueueRequest(recipe, place=place) for place, recipe in enumerate(wanted, chunk.first)]
    jobs.table.queue(orders, Lane.BULK, chunk.batch)
    jobs.chunks.done(name)
    return wanted


def make(jobs: Jobs, recipe: Mezzanine) -> None:
    """Make *recipe*, as far as the job table can tell."""
    claim = jobs.table.begin(recipe.key, "worker")
    assert claim is not None
    jobs.table.finish(claim)


def test_each_job_is_returned_once_when_it_has_ended(jobs: Jobs, follow_up: BulkFollowUp) -> None:
    wanted = recipes(3)
    follow_up.hand_over(wanted)
    assert (list(follow_up.read_ended()), follow_up.count()) == ([], 3), "no worker has queued them"
    queue_one_chunk(jobs)
    assert (list(follow_up.read_ended()), follow_up.count()) == ([], 3), "no worker has made them"
    make(jobs, wanted[0])
    claim = jobs.table.begin(wanted[1].key, "worker")
    assert claim is not None
    jobs.table.fail(claim, MasterMissing("it is not there"))
    ended = {one.recipe: one.failure for one in follow_up.read_ended()}
    assert set(ended) == set(wanted[:2])
    assert ended[wanted[0]] is None
    assert isinstance(ended[wanted[1]], MasterMissing)
    assert (list(follow_up.read_ended()), follow_up.count()) == ([], 1)


def test_what_was_handed_over_twice_ends_twice(jobs: Jobs, follow_up: BulkFollowUp) -> None:
    [wanted] = recipes(1)
    for _ in range(2):
        follow_up.hand_over([wanted])
        queue_one_chunk(jobs)
    assert (list(follow_up.read_ended()), follow_up.count()) == ([], 2)
    make(jobs, wanted)
    assert [one.recipe for one in follow_up.read_ended()] == [wanted, wanted]
    assert follow_up.count() == 0


def test_a_job_that_the_queue_has_forgotten_is_looked_for_in_the_store(
    jobs: Jobs, store: Store, follow_up: BulkFollowUp
) -> None:
    made, lost = recipes(2)
    follow_up.hand_over([made, lost])
    queue_one_chunk(jobs)
    path = store.path(made)  # type: ignore[attr-defined]  # a local one
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xd8\xff")
    jobs.forget(made)
    jobs.forget(lost)
    ended = {one.recipe: one.failure for one in follow_up.read_ended()}
    assert ended[made] is None
    assert ended[lost] is not None
    assert "forgotten" in ended[lost].detail
    assert follow_up.count() == 0


def test_jobs_that_end_out_of_order_are_found_all_the_same(
    jobs: Jobs, follow_up: BulkFollowUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.jobs.bulk.follow_up.READ_AT_ONCE", 2)
    wanted = recipes(7)
    follow_up.hand_over(wanted)
    queue_one_chunk(jobs)
    make(jobs, wanted[6])
    assert list(follow_up.read_ended()) == [], "the oldest have not ended, so the newest are not asked about yet"
    monkeypatch.setattr("mezcal.jobs.bulk.follow_up.ALL_SECONDS", 0)
    assert [one.recipe for one in follow_up.read_ended()] == [wanted[6]]


def test_only_jobs_that_no_client_or_worker_has_touched_are_withdrawn(jobs: Jobs, store: Store) -> None:
    before, running, awaited, mine, chunked, listed = recipes(6)
    jobs.ask(before, Lane.BULK)
    follow_up = BulkFollowUp(jobs, store)
    follow_up.hand_over([before, running, awaited, mine, listed])
    queue_one_chunk(jobs)
    jobs.spread([listed])
    queue_one_chunk(jobs)
    follow_up.hand_over([chunked])
    jobs.table.begin(running.key, "worker")
    jobs.ask(awaited)
    assert follow_up.withdraw() == 2
    assert not follow_up.being_queued()
    states = jobs.table.states([one.key for one in (before, running, awaited, mine, chunked, listed)])
    assert states == ["queued", "running", "queued", None, None, "queued"]
    assert len(jobs.chunks.names()) == 0


def test_a_chunk_that_a_worker_queues_is_withdrawn_afterwards(jobs: Jobs, follow_up: BulkFollowUp) -> None:
    [wanted] = recipes(1)
    follow_up.hand_over([wanted])
    [name] = jobs.chunks.due()
    assert jobs.chunks.take(name) is not None
    assert follow_up.withdraw() == 0
    assert follow_up.being_queued()
    jobs.table.ensure(wanted, Lane.BULK)
    jobs.chunks.done(name)
    assert not follow_up.being_queued()
    assert follow_up.withdraw() == 1
    assert jobs.table.read(wanted.key) is None


def test_a_broker_that_cannot_be_reached_is_reported(jobs: Jobs, follow_up: BulkFollowUp, broker: Broker) -> None:
    follow_up.hand_over(recipes(1))
    broker.stop()
    try:
        with pytest.raises(BrokerDown):
            list(follow_up.read_ended())
    finally:
        broker.start()
    assert list(follow_up.read_ended()) == []
