"""Bulk requests in chunks: none is lost, none queued faster than the lane has room."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.jobs import Chunks, Keys, Lane
from mezcal.jobs import chunks as module
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from tests.broker import Broker

RECIPES = [Mezzanine.parse(f"dc/{number}") for number in range(25)]


@pytest.fixture
def chunks(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Chunks:
    monkeypatch.setattr(module, "SIZE", 10)
    return Chunks(broker.client(), Keys(f"{uuid4().hex}:"))


def test_what_was_left_is_taken_once_and_gone_when_done(chunks: Chunks) -> None:
    names = list(chunks.leave(RECIPES, changed=True))
    assert chunks.count() == 3
    taken = [chunks.take(name) for name in names]
    assert [recipe for chunk in taken if chunk for recipe in chunk.recipes] == [one.as_json() for one in RECIPES]
    assert all(chunk.changed for chunk in taken if chunk)
    assert chunks.take(names[0]) is None, "another has it"
    for name in names:
        chunks.done(name)
    assert chunks.count() == 0
    assert chunks.take(names[0]) is None


def test_a_full_lane_leaves_chunks_where_they_are_until_there_is_room(
    chunks: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = chunks.leave(RECIPES[:5], changed=False)
    queued = chunks._keys.queued(Lane.BULK)
    chunks._redis.zadd(queued, {"a": 1, "b": 2})
    monkeypatch.setattr(module, "AHEAD", 2)
    assert chunks.take(name) is None
    assert chunks.due() == []
    chunks._redis.zrem(queued, "a")
    assert chunks.due() == [name]
    assert chunks.due() == [], "its message is sent once in a while"
    assert chunks.take(name) is not None


def test_a_chunk_whose_taker_died_comes_up_again(chunks: Chunks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_SECONDS", 1)
    (name,) = chunks.leave(RECIPES[:5], changed=False)
    assert chunks.take(name) is not None
    from tests.waiting import until  # noqa: PLC0415

    assert until(chunks.due) == [name]
    assert until(lambda: chunks.take(name))


def test_no_chunk_is_kept_for_ever(chunks: Chunks) -> None:
    (name,) = chunks.leave(RECIPES[:5], changed=False)
    chunks.take(name)
    for key in (chunks._keys.chunk(name), chunks._keys.chunk(name) + ":held"):
        assert chunks._redis.ttl(key) > 0
