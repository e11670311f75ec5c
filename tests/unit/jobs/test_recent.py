"""The newest and largest derivatives and their previews, as the operator's page reads them: bounded, and true."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.jobs import Jobs, Lane, Worker, WorkerRegistry
from mezcal.jobs.recent import NO_PREVIEW, RecentDerivatives
from mezcal.jobs.state.keys import Keys
from mezcal.recipe import Mezzanine
from mezcal.settings import load

if TYPE_CHECKING:
    from tests.support.broker import Broker


@pytest.fixture
def keys() -> Keys:
    return Keys(f"{uuid4().hex}:")


@pytest.fixture
def recent(broker: Broker, keys: Keys) -> RecentDerivatives:
    return RecentDerivatives(broker.client(), keys)


def test_the_largest_are_kept_and_no_more_than_a_hundred(recent: RecentDerivatives) -> None:
    for number in range(150):
        recent.add(Mezzanine(f"{number}.tif"), 1000 + number)
    kept = [recipe["path"] for recipe in recent.largest()]
    assert kept[:2] == ["149.tif", "148.tif"]
    assert len(kept) == 100


def test_a_derivative_that_was_made_again_is_listed_once_with_its_new_size(recent: RecentDerivatives) -> None:
    for size in (9, 3):
        recent.add(Mezzanine("a.tif"), size)
    recent.add(Mezzanine("b.tif"), 5)
    assert [recipe["path"] for recipe in recent.largest()] == ["b.tif", "a.tif"]


def test_a_removed_derivative_leaves_the_list(recent: RecentDerivatives) -> None:
    recent.add(Mezzanine("a.tif"), 9)
    recent.remove([Mezzanine("a.tif")])
    assert recent.largest() == recent.newest(10) == []


def test_a_preview_is_requested_once_and_then_kept(recent: RecentDerivatives) -> None:
    recipe = Mezzanine("a.tif")
    assert [recent.request_preview(recipe) for _ in range(3)] == [True, False, False]
    assert recent.preview(recipe.key) is None
    recent.save_preview(recipe, b"a picture")
    assert recent.preview(recipe.key) == b"a picture"
    recent.save_preview(recipe, None)
    assert recent.previews([recipe]) == {recipe.key: NO_PREVIEW}
    assert recent.preview(recipe.key) is None


def test_every_key_expires(broker: Broker, keys: Keys, recent: RecentDerivatives) -> None:
    recent.add(Mezzanine("a.tif"), 9)
    recent.save_preview(Mezzanine("a.tif"), b"x")
    redis = broker.client()
    WorkerRegistry(redis, keys).heartbeat(Worker("mezcal@host:1", 2, ("bulk",)))
    assert all(redis.ttl(key) > 0 for key in redis.scan_iter(f"{keys.prefix}*"))


def test_what_is_purged_leaves_the_newest_at_once(broker: Broker) -> None:
    """Else a purge of the last hundred would leave nothing to show."""
    jobs = Jobs.of(load(_env_file=None, redis_url=broker.url, key_prefix=f"{uuid4().hex}:", repo_base_url="http://r/"))
    for number in range(150):
        recipe = Mezzanine(f"{number}.tif")
        jobs.table.ensure(recipe, Lane.BULK)
        claim = jobs.table.begin(recipe.key, "worker")
        assert jobs.table.finish(claim)
        jobs.recent.add(recipe, 1000 + number)
    for number in range(120, 150):
        jobs.forget(Mezzanine(f"{number}.tif"))
    assert [recipe["path"] for recipe in jobs.recent.newest(2)] == ["119.tif", "118.tif"]
    assert jobs.recent.largest()[0]["path"] == "119.tif"
    assert len(jobs.recent.newest(1000)) == 120
