"""Revalidation: what follows for a stored derivative when its master is asked about."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.errors import Busy, OriginFailed, Undecodable
from mezcal.ingest.revalidation import Revalidation, RevalidationResult
from mezcal.jobs import Jobs, JobState, Lane
from mezcal.origin import open_origin
from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.store import Sidecar
from tests.support.roles import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store import Store
    from mezcal.store.values import Described

MASTER = Mezzanine.parse("a.tif")
VERSION = "the settings of now"


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    folder = tmp_path / "masters"
    folder.mkdir()
    (folder / "a.tif").write_bytes(b"the new master")
    (folder / "b.tif").write_bytes(b"another, so that the folder is not empty when the first is gone")
    return folder


@pytest.fixture
def given(masters: Path) -> dict[str, Any]:
    return {"repo_base_url": masters.as_uri() + "/"}


@pytest.fixture
def revalidation(settings: Settings, jobs: Jobs, store: Store) -> Revalidation:
    return Revalidation(open_origin(settings), jobs, store, VERSION)


def stored(store: Store, recipe: Mezzanine = MASTER) -> Described:
    """Store a derivative that was made an hour ago, of a master that has changed since."""
    sidecar = Sidecar(recipe.as_json(), VERSION, "s", '"old"', None, 3, "TIFF", 4, 1, 1, "0" * 64, 0.0, 0.0)
    with store.draft() as draft:
        draft.write_bytes(b"\xff\xd8\xff\xd9")
        store.put(recipe, draft, sidecar, lambda: None)
    described = store.describe(recipe)
    assert described is not None
    return described


def fill_the_queue(jobs: Jobs) -> None:
    jobs.table.policy = replace(jobs.table.policy, queue_max=1)
    jobs.table.ensure(Mezzanine.parse("another.tif"), Lane.BULK)


def test_a_changed_master_is_queued_to_be_made_again(jobs: Jobs, store: Store, revalidation: Revalidation) -> None:
    assert revalidation.run(MASTER, stored(store)) is RevalidationResult.CHANGED
    claim = jobs.table.begin(MASTER.key, "worker")
    assert claim is not None
    assert claim.remake


def test_it_is_made_again_in_the_lane_that_is_named(jobs: Jobs, store: Store, revalidation: Revalidation) -> None:
    assert revalidation.run(MASTER, stored(store), Lane.INTERACTIVE) is RevalidationResult.CHANGED
    claim = jobs.table.begin_next("worker")
    assert claim is not None
    assert (claim.key, claim.lane) == (MASTER.key, Lane.INTERACTIVE)


def test_a_changed_master_that_failed_already_is_not_tried_again_until_it_changes(
    masters: Path, jobs: Jobs, store: Store, revalidation: Revalidation
) -> None:
    """Each hit on the old derivative would have the broken master converted."""
    described = stored(store)
    failed(jobs, revalidation)
    assert revalidation.run(MASTER, described) is RevalidationResult.UNCHANGED
    assert jobs.states([MASTER.key]) == [JobState.FAILED]
    (masters / "a.tif").write_bytes(b"mended")
    assert revalidation.run(MASTER, described) is RevalidationResult.CHANGED
    assert jobs.states([MASTER.key]) == [JobState.QUEUED]


def test_a_master_that_is_gone_with_all_its_folder_may_be_on_a_disk_that_is_not_mounted(
    masters: Path, store: Store, revalidation: Revalidation
) -> None:
    described = stored(store)
    for name in ("a.tif", "b.tif"):
        (masters / name).unlink()
    for leave in (masters / "lost+found").mkdir, lambda: shutil.rmtree(masters):
        leave()
        with pytest.raises(OriginFailed, match="mounted"):
            revalidation.run(MASTER, described)
    assert store.find(MASTER) is not None


def test_a_full_queue_is_reported_and_not_that_the_derivative_is_made_again(
    jobs: Jobs, store: Store, revalidation: Revalidation
) -> None:
    described = stored(store)
    fill_the_queue(jobs)
    with pytest.raises(Busy):
        revalidation.run(MASTER, described)
    assert jobs.states([MASTER.key]) == [None]
    assert store.sidecar(MASTER) == described.sidecar, "it stays old, so it is revalidated again"


def test_a_derivative_of_other_settings_is_queued_to_be_made_again(
    jobs: Jobs, store: Store, revalidation: Revalidation
) -> None:
    assert replace(revalidation, recipe_version="others").run(MASTER, stored(store)) is RevalidationResult.OUTDATED
    assert jobs.states([MASTER.key]) == [JobState.QUEUED]


def test_the_derivative_of_a_master_that_is_gone_is_deleted(
    masters: Path, store: Store, revalidation: Revalidation
) -> None:
    described = stored(store)
    (masters / "a.tif").unlink()
    assert revalidation.run(MASTER, described) is RevalidationResult.GONE
    assert store.find(MASTER) is None


def test_a_derivative_whose_sidecar_is_damaged_is_made_again(
    jobs: Jobs, store: Store, revalidation: Revalidation
) -> None:
    """Zeros are what a power cut leaves of a file."""
    described = replace(stored(store), sidecar=None)
    assert revalidation.run(MASTER, described) is RevalidationResult.OUTDATED
    claim = jobs.table.begin(MASTER.key, "worker")
    assert claim is not None
    assert claim.remake


def failed(jobs: Jobs, revalidation: Revalidation) -> None:
    """Have the job of the master fail for long."""
    jobs.table.ensure(MASTER, Lane.INTERACTIVE)
    claim = jobs.table.begin(MASTER.key, "worker")
    assert claim is not None
    failure = Undecodable("it is cut")
    with revalidation.origin.open(MASTER.path) as master:
        failure.validators = master.etag, master.last_modified
    jobs.table.fail(claim, failure)


def test_a_failed_master_is_tried_again_once_it_has_changed(
    masters: Path, jobs: Jobs, revalidation: Revalidation
) -> None:
    failed(jobs, revalidation)
    assert revalidation.run(MASTER, None) is RevalidationResult.UNCHANGED
    assert jobs.states([MASTER.key]) == [JobState.FAILED]
    (masters / "a.tif").write_bytes(b"the repaired master")
    assert revalidation.run(MASTER, None) is RevalidationResult.CHANGED
    assert jobs.states([MASTER.key]) == [JobState.QUEUED]


def test_the_failure_of_a_master_that_is_gone_is_forgotten(
    masters: Path, jobs: Jobs, revalidation: Revalidation
) -> None:
    failed(jobs, revalidation)
    (masters / "a.tif").unlink()
    assert revalidation.run(MASTER, None) is RevalidationResult.GONE
    assert jobs.states([MASTER.key]) == [None]


def test_without_a_derivative_or_a_failure_there_is_nothing_to_do(revalidation: Revalidation) -> None:
    assert revalidation.run(MASTER, None) is RevalidationResult.UNCHANGED


def test_validators_that_always_change_do_not_have_a_broken_master_read_each_time(
    masters: Path, jobs: Jobs, revalidation: Revalidation
) -> None:
    for number in range(3):
        failed(jobs, revalidation)
        (masters / "a.tif").write_bytes(b"x" * (number + 1))
        if revalidation.run(MASTER, None) is RevalidationResult.UNCHANGED:
            break
    assert number == 1, "the second failure is not looked at for a while"


def test_a_pyramid_whose_master_is_gone_takes_all_other_derivatives_with_it(
    jobs: Jobs, store: Store, revalidation: Revalidation, masters: Path
) -> None:
    pyramid = MASTER.in_profile(PYRAMID)
    stored(store)
    described = stored(store, pyramid)
    (masters / "a.tif").unlink()
    assert revalidation.run(pyramid, described) is RevalidationResult.GONE
    assert (store.find(pyramid), store.find(MASTER)) == (None, None)


def test_a_changed_master_has_the_stale_pyramid_made_again_and_not_the_mezzanine(
    jobs: Jobs, store: Store, revalidation: Revalidation
) -> None:
    pyramid = MASTER.in_profile(PYRAMID)
    stored(store)
    assert revalidation.run(pyramid, stored(store, pyramid)) is RevalidationResult.CHANGED
    claim = jobs.table.begin(pyramid.key, "worker")
    assert claim is not None
    assert claim.remake
    assert jobs.read(MASTER.key) is None


DEAD = {"repo_base_url": f"http://127.0.0.1:{free_port()}/", "origin_retries": 0, "breaker_failures": 2}


def ask_in_vain(revalidation: Revalidation, store: Store, *recipes: Mezzanine) -> None:
    for recipe in recipes:
        with pytest.raises(OriginFailed):
            revalidation.run(recipe, stored(store, recipe))


@pytest.mark.parametrize("given", [DEAD])
def test_all_pages_of_one_master_count_once_for_the_circuit_breaker(
    settings: Settings, jobs: Jobs, store: Store, revalidation: Revalidation
) -> None:
    [named] = settings.origins
    ask_in_vain(revalidation, store, *(Mezzanine.parse("a.tif", page) for page in (1, 2, 3)))
    assert jobs.circuit(named.limits_name).state == "closed"
    ask_in_vain(revalidation, store, Mezzanine.parse("b.tif"))
    assert jobs.circuit(named.limits_name).state == "open"


@pytest.mark.parametrize("given", [DEAD])
def test_a_revalidation_that_asks_for_nothing_does_not_say_that_the_origin_is_well(
    settings: Settings, jobs: Jobs, store: Store, revalidation: Revalidation
) -> None:
    [named] = settings.origins
    ask_in_vain(revalidation, store, MASTER)
    other = Mezzanine.parse("b.tif")
    assert revalidation.run(other, None) is RevalidationResult.UNCHANGED
    assert revalidation.run(other, replace(stored(store, other), sidecar=None)) is RevalidationResult.OUTDATED
    ask_in_vain(revalidation, store, other)
    assert jobs.circuit(named.limits_name).state == "open"
