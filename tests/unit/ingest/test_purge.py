"""Purging: what was made of a master goes, with all its pages, and nothing that runs brings it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mezcal.errors import MasterMissing, Superseded
from mezcal.ingest.purge import purge, purge_profile
from mezcal.ingest.stored_masters import find_stored
from mezcal.jobs import Jobs, Lane
from mezcal.jobs.state.leases import Lease
from mezcal.jobs.state.records import QueueRequest
from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.store import Sidecar, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.settings import Settings
    from mezcal.store import LocalStore

MASTER = Mezzanine.parse("dc/book.tif")
PAGES = [Mezzanine.parse("dc/book.tif", page) for page in (2, 7, 40)]
OTHERS = [Mezzanine.parse("dc/book"), Mezzanine.parse("dc/book.tif/2"), Mezzanine.parse("dc/other.tif", 2)]


def put(store: Store, recipe: Mezzanine, guard: Callable[[], None] = lambda: None) -> None:
    sidecar = Sidecar(recipe.as_json(), "v", "s", None, None, None, "TIFF", 4, 1, 1, "0" * 64, 0.0, 0.0)
    with store.draft() as draft:
        draft.write_bytes(b"\xff\xd8\xff\xd9")
        store.put(recipe, draft, sidecar, guard)


def test_all_pages_of_the_master_are_deleted_and_no_others(jobs: Jobs, store: Store) -> None:
    for recipe in (MASTER, *PAGES, *OTHERS):
        put(store, recipe)
    assert purge(MASTER, jobs, store)
    assert [store.find(recipe) for recipe in (MASTER, *PAGES)] == [None] * 4
    assert all(store.find(recipe) for recipe in OTHERS)
    assert not purge(MASTER, jobs, store), "there is nothing left"


def test_all_profiles_of_the_master_are_deleted(jobs: Jobs, store: Store) -> None:
    pyramids = [recipe.in_profile(PYRAMID) for recipe in (MASTER, PAGES[0])]
    for recipe in (MASTER, *pyramids, OTHERS[2].in_profile(PYRAMID)):
        put(store, recipe)
    assert purge(MASTER, jobs, store)
    assert [store.find(recipe) for recipe in (MASTER, *pyramids)] == [None] * 3
    assert store.find(OTHERS[2].in_profile(PYRAMID))


def test_one_profile_goes_alone_with_its_pages(jobs: Jobs, store: Store) -> None:
    pyramids = [recipe.in_profile(PYRAMID) for recipe in (MASTER, PAGES[0])]
    for recipe in (MASTER, PAGES[0], *pyramids):
        put(store, recipe)
    assert purge_profile(pyramids[0], jobs, store)
    assert [store.find(recipe) for recipe in pyramids] == [None] * 2
    assert all(store.find(recipe) for recipe in (MASTER, PAGES[0]))
    assert not purge_profile(pyramids[0], jobs, store), "there is none left"


def test_the_mezzanines_of_a_master_go_alone(jobs: Jobs, store: Store) -> None:
    pyramids = [recipe.in_profile(PYRAMID) for recipe in (MASTER, PAGES[0])]
    for recipe in (MASTER, PAGES[0], *pyramids):
        put(store, recipe)
    assert purge_profile(MASTER, jobs, store)
    assert [store.find(recipe) for recipe in (MASTER, PAGES[0])] == [None] * 2
    assert all(store.find(recipe) for recipe in pyramids)


def test_a_remembered_failure_of_a_profile_is_lifted_with_it_alone(jobs: Jobs, store: Store) -> None:
    pyramids = [recipe.in_profile(PYRAMID) for recipe in (MASTER, PAGES[0])]
    for recipe in (MASTER, *pyramids):
        jobs.table.queue([QueueRequest(recipe)], Lane.BULK)
    purge_profile(pyramids[0], jobs, store)
    assert [jobs.table.read(recipe.key) for recipe in pyramids] == [None] * 2
    assert jobs.table.read(MASTER.key)


@pytest.mark.parametrize("given", [{}, {"storage_layout": "md5_encoded"}])
def test_all_profiles_are_found_by_the_paths_of_their_masters(
    jobs: Jobs, store: Store, settings: Settings, given: dict[str, Any]
) -> None:
    """*given* are settings. What is deleted while the store is read leaves nothing that is not known."""
    pyramids = [recipe.in_profile(PYRAMID) for recipe in (MASTER, PAGES[0])]
    for recipe in (MASTER, *pyramids, OTHERS[2].in_profile(PYRAMID)):
        put(store, recipe)
    found = list(find_stored(lambda path: path == MASTER.path, store, settings.storage_layout))
    assert set(found) == {MASTER, *pyramids}
    while_purged = []
    for recipe in find_stored(lambda path: path == MASTER.path, store, settings.storage_layout):
        assert recipe is not None
        purge(recipe.main(), jobs, store)
        while_purged.append(recipe)
    assert set(while_purged) <= {MASTER, *pyramids}


def test_a_file_with_another_programs_record_is_no_pyramid(store: LocalStore, settings: Settings) -> None:
    pyramid = MASTER.in_profile(PYRAMID)
    put(store, pyramid)
    store.path(pyramid).with_name("pyramid.json").write_text("{")
    assert list(find_stored(lambda _path: True, store, settings.storage_layout)) == []


def test_a_pyramid_that_is_being_made_publishes_nothing_after_its_master_was_purged(jobs: Jobs, store: Store) -> None:
    pyramid = PAGES[0].in_profile(PYRAMID)
    jobs.table.ensure(pyramid, Lane.INTERACTIVE)
    claim = jobs.table.begin(pyramid.key, "a worker")
    assert claim is not None
    purge(MASTER, jobs, store)
    with pytest.raises(Superseded):
        put(store, pyramid, Lease(jobs.table, claim).renew_or_raise)


def test_a_page_goes_with_its_profiles_and_no_others(jobs: Jobs, store: Store) -> None:
    kept = [MASTER, MASTER.in_profile(PYRAMID), PAGES[1].in_profile(PYRAMID)]
    for recipe in (*kept, PAGES[0], PAGES[0].in_profile(PYRAMID)):
        put(store, recipe)
    assert purge(PAGES[0], jobs, store)
    assert [store.find(recipe) for recipe in (PAGES[0], PAGES[0].in_profile(PYRAMID))] == [None] * 2
    assert all(store.find(recipe) for recipe in kept)


def test_one_page_goes_alone(jobs: Jobs, store: Store) -> None:
    for recipe in (MASTER, *PAGES):
        put(store, recipe)
    assert purge(PAGES[0], jobs, store)
    assert store.find(PAGES[0]) is None
    assert all(store.find(recipe) for recipe in (MASTER, *PAGES[1:]))


def test_a_page_that_is_being_made_publishes_nothing_after_its_master_was_purged(jobs: Jobs, store: Store) -> None:
    """The page is not stored yet: only the job table has a record of it."""
    jobs.table.ensure(PAGES[0], Lane.INTERACTIVE)
    claim = jobs.table.begin(PAGES[0].key, "a worker")
    assert claim is not None
    purge(MASTER, jobs, store)
    with pytest.raises(Superseded):
        put(store, PAGES[0], Lease(jobs.table, claim).renew_or_raise)
    assert store.find(PAGES[0]) is None


def test_a_derivative_in_the_trash_does_not_come_back(jobs: Jobs, store: Store) -> None:
    for recipe in (MASTER, PAGES[0]):
        jobs.table.ensure(recipe, Lane.INTERACTIVE)
        put(store, recipe)
        store.evict(recipe)
    purge(MASTER, jobs, store)
    assert store.open(MASTER) is None
    assert store.open(PAGES[0]) is None


def test_remembered_failures_of_pages_are_lifted(jobs: Jobs, store: Store) -> None:
    jobs.table.queue([QueueRequest(PAGES[1])], Lane.BULK)
    claim = jobs.table.begin(PAGES[1].key, "a worker")
    assert claim is not None
    jobs.table.fail(claim, MasterMissing("not there"))
    purge(MASTER, jobs, store)
    assert jobs.table.read(PAGES[1].key) is None
