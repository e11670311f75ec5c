"""Hooks are notified of jobs that have ended: in the same step of Redis as the end itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mezcal.errors import MasterMissing
from mezcal.jobs import Claim, Jobs, Lane
from mezcal.jobs.state import scripts
from mezcal.jobs.state.records import QueueRequest
from mezcal.recipe import PYRAMID, Frame, Mezzanine, Thumbnail, ThumbnailOptions
from mezcal.settings import load
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.jobs.bulk.downstream import Change
    from mezcal.recipe import Recipe
    from tests.support.broker import Broker

PAGE = Mezzanine("books/1.tif")
ALL = "webhook+http://one?event=made&event=failed&event=quarantined"
CALLED = "webhook+http://two?name=catalogue"
BOUND = "ENDS_MAX = 200000"


class HookedQueue:
    """An installation's queue, with a hook that is told of all ends, and one that lists call by its name."""

    def __init__(self, broker: Broker, *hooks: str, **given: Any) -> None:
        self.settings = load(
            _env_file=None,
            redis_url=broker.url,
            key_prefix=f"{uuid4().hex}:",
            downstream_urls=",".join(hooks),
            downstream_secret="x" * 32,
            **given,
        )
        self.jobs = Jobs.of(self.settings)

    def begun(self, recipe: Recipe = PAGE, batch: str = "") -> Claim:
        self.jobs.table.queue([QueueRequest(recipe, place=0 if batch else None)], Lane.BULK, batch)
        claim = self.jobs.table.begin(recipe.key, "w1", "task")
        assert claim is not None
        return claim

    def batch(self, callback: str = "") -> str:
        return self.jobs.batches.post([["wanted", "path", PAGE.path]], callback=callback).name

    def told(self, number: int = 0) -> list[Change]:
        """Take what waits for a hook, and deliver it."""
        downstream, hook = self.jobs.downstream, self.settings.hooks[number].name
        holder = downstream.hold(hook, 60)
        assert holder is not None
        changes = downstream.take(hook, holder, 100)
        for change in changes:
            downstream.delivered(hook, change, 0)
        downstream.let_go(hook, holder)
        return changes

    def ends(self, number: int = 0) -> list[tuple[str, str]]:
        return [(change.recipe.label, change.ended.what) for change in self.told(number) if change.ended]


@pytest.fixture
def install(broker: Broker) -> Callable[..., HookedQueue]:
    return lambda *hooks, **given: HookedQueue(broker, *hooks or (ALL, CALLED), **given)


def test_a_made_job_is_told_of_once(install: Callable[..., HookedQueue]) -> None:
    here = install()
    assert here.jobs.table.finish(here.begun())
    assert here.jobs.downstream.any_due()
    assert here.ends() == [("books/1.tif", "made")]
    assert here.ends() == []
    assert here.told(1) == [], "no list has called it"
    assert here.told(0) == [], "a first derivative has replaced nothing"


def test_a_failure_is_told_of_with_its_class_and_reason(install: Callable[..., HookedQueue]) -> None:
    here = install()
    here.jobs.table.fail(here.begun(), MasterMissing("no such file"))
    (change,) = here.told()
    assert change.ended is not None
    assert (change.ended.what, change.ended.failure) == (
        "failed",
        {"class": "master-missing", "detail": "no such file"},
    )


@pytest.mark.parametrize("how", ["reap", "death"])
def test_a_quarantined_job_is_told_of(install: Callable[..., HookedQueue], how: str) -> None:
    here = install(ALL, max_attempts=1, lease_seconds=1)
    here.begun()
    if how == "reap":
        until(lambda: not here.jobs.table.reap() and here.jobs.depths()["failed"], 10, "the end of the lease")
    else:
        here.jobs.table.process_died("task")
    assert here.ends() == [("books/1.tif", "quarantined")]


def test_an_attempt_that_is_repeated_is_no_end(install: Callable[..., HookedQueue]) -> None:
    here = install()
    claim = here.begun()
    here.jobs.table.delay_after(claim, MasterMissing("a moment"), 60)
    here.begun(Mezzanine("books/2.tif"))
    here.jobs.table.process_died("task")
    assert here.ends() == []


def test_a_later_end_replaces_one_that_was_not_sent(install: Callable[..., HookedQueue]) -> None:
    here = install()
    first, second = here.batch(), here.batch()
    here.jobs.table.fail(here.begun(batch=first), MasterMissing("no such file"))
    here.jobs.retry(PAGE.key)
    here.jobs.table.finish(here.begun(batch=second))
    (change,) = here.told()
    assert change.ended is not None
    assert change.ended.what == "made"
    assert sorted(change.ended.batches) == sorted([first, second]), "both lists are answered"


def test_a_hook_with_a_name_is_told_of_the_jobs_of_lists_that_call_it(install: Callable[..., HookedQueue]) -> None:
    here = install()
    calling, other = here.batch("catalogue"), here.batch()
    here.jobs.table.finish(here.begun(batch=calling))
    here.jobs.table.finish(here.begun(Mezzanine("books/2.tif"), batch=other))
    (change,) = here.told(1)
    assert change.ended is not None
    assert (change.recipe, change.ended.batches) == (PAGE, [calling])
    assert len(here.told()) == 2


def test_a_list_that_calls_is_told_of_a_failure_that_is_remembered(install: Callable[..., HookedQueue]) -> None:
    """No job is begun for it: the list would wait for ever."""
    here = install()
    here.jobs.table.fail(here.begun(), MasterMissing("no such file"))
    assert here.ends() == [("books/1.tif", "failed")]
    batch = here.batch("catalogue")
    here.jobs.table.queue([QueueRequest(PAGE, place=0)], Lane.BULK, batch)
    (change,) = here.told(1)
    assert change.ended is not None
    assert (change.ended.what, change.ended.batches) == ("failed", [batch])
    assert here.told() == [], "it knows"


def test_ends_are_chosen_by_event_path_and_profile(install: Callable[..., HookedQueue]) -> None:
    url = "webhook+http://one?event=made&event=failed"
    here = install(f"{url}&prefix=books/&prefix=maps/&profile=mezzanine", "webhook+http://two?event=quarantined")
    recipes = [PAGE, Mezzanine("books/1.tif", None, PYRAMID), Mezzanine("maps/1.tif", 3), Mezzanine("other/1.tif")]
    for recipe in recipes:
        here.jobs.table.finish(here.begun(recipe))
    assert [label for label, _ in here.ends()] == ["books/1.tif", "maps/1.tif page 3"]
    assert here.told(1) == []


def test_thumbnails_are_told_of_with_the_same_recipe(install: Callable[..., HookedQueue]) -> None:
    here = install()
    thumbnail = Thumbnail((Frame(17, "a.fits", "v"),), ThumbnailOptions.parse({}))
    here.jobs.table.finish(here.begun(thumbnail))
    (change,) = here.told()
    assert change.recipe == thumbnail


def test_more_ends_than_may_wait_are_counted_and_the_newest_of_each_image_is_kept(
    install: Callable[..., HookedQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = scripts._read
    assert BOUND in read("hooks")
    monkeypatch.setattr(scripts, "_read", lambda name: read(name).replace(BOUND, "ENDS_MAX = 2"))
    scripts.source.cache_clear()
    here = install(ALL)
    for number in range(5):
        here.jobs.table.finish(here.begun(Mezzanine(f"{number}.tif")))
    here.jobs.table.fail(here.begun(Mezzanine("0.tif")), MasterMissing("gone"))
    scripts.source.cache_clear()
    status = here.jobs.downstream.status(here.settings.hooks[0].name)
    assert (status.waiting, status.lost) == (2, 3)
    assert sorted(here.ends()) == [("0.tif", "failed"), ("1.tif", "made")]
    here.jobs.downstream.retry(here.settings.hooks[0].name)
    assert here.jobs.downstream.status(here.settings.hooks[0].name).lost == 0


def test_what_was_given_up_is_told_as_it_was(install: Callable[..., HookedQueue]) -> None:
    here = install(ALL)
    hook, downstream = here.settings.hooks[0].name, here.jobs.downstream
    here.jobs.table.fail(here.begun(), MasterMissing("no such file"))
    holder = downstream.hold(hook, 60)
    assert holder is not None
    (change,) = downstream.take(hook, holder, 10)
    downstream.give_up(hook, change, "it answered 400")
    downstream.let_go(hook, holder)
    assert json.loads(downstream.failed(hook)[0]["recipe"])["path"] == PAGE.path
    assert downstream.retry(hook) == 1
    assert here.ends() == [("books/1.tif", "failed")]
