"""Those who wait come before all that nobody waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from tests.faults.support.scene import served
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.faults.support.scene import Scene


def in_bulk(scene: Scene, *paths: str) -> None:
    jobs = scene.jobs()
    for path in paths:
        jobs.ask(Mezzanine.parse(path), Lane.BULK)


def test_bulk_leaves_one_process_to_those_who_wait(scene: Scene) -> None:
    held = [scene.held() for _ in range(3)]
    in_bulk(scene, *(path for path, _ in held))
    scene.running(held[0][0])
    began = time.monotonic()
    for _ in range(10):
        path, _ = scene.master()
        assert scene.installation.ask(path).status_code == 200
    assert time.monotonic() - began < 5
    assert [scene.repository.count(path) for path, _ in held] == [1, 0, 0]
    for _, script in held:
        script.go.set()
    for path, _ in held:
        scene.well(path, served(scene.installation, path), most=1)


def test_an_asker_promotes_what_is_queued_in_bulk_and_it_is_made_once(scene: Scene) -> None:
    blocker, script = scene.held()
    behind = [scene.master()[0] for _ in range(20)]
    in_bulk(scene, blocker, *behind)
    scene.running(blocker)
    assert scene.installation.ask(behind[-1]).status_code == 200
    assert scene.repository.count(behind[0]) == 0
    script.go.set()
    until(lambda: all(scene.installation.stored(path) for path in behind), what="all of them")
    assert [scene.repository.count(path) for path in behind] == [1] * 20
    scene.tidy()


def test_bulk_jobs_follow_each_other_without_a_pause(scene: Scene) -> None:
    paths = [scene.master()[0] for _ in range(60)]
    began = time.monotonic()
    in_bulk(scene, *paths)
    until(lambda: all(scene.installation.stored(path) for path in paths), what="all of them")
    assert time.monotonic() - began < 8, "a second between two of them would be a minute"
    scene.tidy()


@pytest.mark.parametrize("lanes", ["all", "interactive"])
def test_interactive_jobs_are_made_while_one_of_the_workers_is_away(scene: Scene, lanes: str) -> None:
    (killed,) = scene.installation.workers(lanes)
    scene.kill(killed)
    path, _ = scene.master()
    assert scene.installation.ask(path).status_code == 200
    assert killed not in scene.workers()
    scene.tidy()


def test_a_bulk_request_is_spread_by_the_workers(scene: Scene) -> None:
    paths = [scene.master()[0] for _ in range(50)]
    recipes = [Mezzanine.parse(path) for path in paths]
    assert scene.jobs().spread(recipes) == 50
    until(lambda: all(scene.installation.stored(path) for path in paths), what="all of them")
    assert [scene.repository.count(path) for path in paths] == [1] * 50
    assert scene.jobs().chunks.names() == []
    scene.tidy()
