"""Bulk requests in chunks: none is lost, none queued faster than the lane has room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Jobs, Lane
from mezcal.jobs.bulk import chunks as module
from tests.support.waiting import until

if TYPE_CHECKING:
    from mezcal.jobs.bulk.chunks import Chunks

ITEMS = [["wanted", "path", f"dc/{number}"] for number in range(25)]


@pytest.fixture
def jobs(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """A queue whose chunks have ten items."""
    monkeypatch.setattr(module, "SIZE", 10)
    return jobs


@pytest.fixture
def chunks(jobs: Jobs) -> Chunks:
    return jobs.chunks


def left(jobs: Jobs, number: int = 5) -> str:
    """Returns the only chunk of a batch with so many items."""
    (name,) = jobs.batches.post(ITEMS[:number]).chunks
    return name


def test_a_chunk_is_taken_once_and_deleted_when_done(jobs: Jobs, chunks: Chunks) -> None:
    posted = jobs.batches.post(iter(ITEMS))
    assert (posted.items, len(chunks.names())) == (25, 3)
    taken = [chunk for name in posted.chunks if (chunk := chunks.take(name))]
    assert [item for chunk in taken for item in chunk.items] == ITEMS
    assert [(chunk.batch, chunk.first) for chunk in taken] == [(posted.name, first) for first in (0, 10, 20)]
    assert chunks.take(posted.chunks[0]) is None, "another has it"
    for name in posted.chunks:
        chunks.done(name)
    assert len(chunks.names()) == 0
    assert chunks.take(posted.chunks[0]) is None


def test_a_list_that_breaks_off_is_never_taken(jobs: Jobs, chunks: Chunks) -> None:
    """If the client breaks off, the items before do not become a batch."""

    def breaks_off() -> object:
        yield from ITEMS[:15]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        jobs.batches.post(breaks_off())  # type: ignore[arg-type]
    assert chunks.due() == []
    keys = jobs.table.redis.keys(f"{jobs.table.keys.prefix}*")
    assert all(0 < jobs.table.redis.ttl(key) <= module.DRAFT_SECONDS for key in keys)


def test_a_full_lane_leaves_the_chunks_until_there_is_room(
    jobs: Jobs, chunks: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = left(jobs)
    queued = chunks._keys.queued(Lane.BULK)
    chunks._redis.zadd(queued, {"a": 1, "b": 2})
    monkeypatch.setattr(module, "AHEAD", 2)
    assert chunks.take(name) is None
    assert chunks.due() == []
    chunks._redis.zrem(queued, "a")
    assert chunks.due() == [name]
    assert chunks.due() == [], "its message is sent once in a while"
    assert chunks.take(name) is not None


def test_delayed_jobs_of_a_failing_origin_hold_back_chunks_too(
    jobs: Jobs, chunks: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an origin that is down for a night moves a batch of millions from chunks into the table."""
    name = left(jobs)
    chunks._redis.zadd(chunks._keys.queued(Lane.BULK), {"a": 1})
    chunks._redis.zadd(chunks._keys.delayed, {"b": 2})
    monkeypatch.setattr(module, "AHEAD", 2)
    assert chunks.take(name) is None
    assert chunks.due() == []
    chunks._redis.zrem(chunks._keys.delayed, "b")
    assert chunks.take(name) is not None


def test_a_chunk_of_a_dead_worker_is_taken_again(jobs: Jobs, chunks: Chunks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_SECONDS", 1)
    name = left(jobs)
    assert chunks.take(name) is not None
    assert until(chunks.due) == [name]
    assert until(lambda: chunks.take(name))


def test_no_chunk_is_kept_for_ever(jobs: Jobs, chunks: Chunks) -> None:
    name = left(jobs)
    chunks.take(name)
    for key in (chunks._keys.chunk(name), chunks._keys.chunk(name) + ":held"):
        assert chunks._redis.ttl(key) > 0


def test_frames_come_in_small_chunks_because_the_archive_is_asked_about_each(jobs: Jobs, chunks: Chunks) -> None:
    posted = jobs.batches.post(["created", "frame", number] for number in range(10))
    assert len(posted.chunks) == 10 // module.FRAMES
    monthly = jobs.batches.post([*ITEMS[:9], ["created", "frame", 1]])
    assert monthly.items == 10
