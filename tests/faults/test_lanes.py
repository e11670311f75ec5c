"""Jobs that a client waits for come before all others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from tests.faults.support.environment import wait_for_image
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.faults.support.environment import FaultEnvironment


def in_bulk(environment: FaultEnvironment, *paths: str) -> None:
    jobs = environment.jobs()
    for path in paths:
        jobs.ask(Mezzanine.parse(path), Lane.BULK)


def test_bulk_leaves_one_process_to_waiting_clients(environment: FaultEnvironment) -> None:
    held = [environment.slow_master() for _ in range(3)]
    in_bulk(environment, *(path for path, _ in held))
    environment.wait_for_attempt(held[0][0])
    began = time.monotonic()
    for _ in range(10):
        path, _ = environment.master()
        assert environment.installation.ask(path).status_code == 200
    assert time.monotonic() - began < 20, "each would wait for 25 s"
    assert [environment.repository.count(path) for path, _ in held] == [1, 0, 0]
    for _, script in held:
        script.go.set()
    for path, _ in held:
        environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)


def test_a_client_promotes_a_bulk_job_and_it_is_made_once(environment: FaultEnvironment) -> None:
    blocker, script = environment.slow_master()
    behind = [environment.master()[0] for _ in range(20)]
    in_bulk(environment, blocker, *behind)
    environment.wait_for_attempt(blocker)
    assert environment.installation.ask(behind[-1]).status_code == 200
    assert environment.repository.count(behind[0]) == 0
    script.go.set()
    until(lambda: all(environment.installation.stored(path) for path in behind), what="all of them")
    assert [environment.repository.count(path) for path in behind] == [1] * 20
    environment.assert_clean()


def test_bulk_jobs_follow_each_other_without_a_pause(environment: FaultEnvironment) -> None:
    paths = [environment.master()[0] for _ in range(30)]
    began = time.monotonic()
    in_bulk(environment, *paths)
    until(lambda: all(environment.installation.stored(path) for path in paths), what="all of them")
    assert time.monotonic() - began < 25, "a second between two of them would be half a minute"
    environment.assert_clean()


@pytest.mark.parametrize("lanes", ["all", "interactive"])
def test_interactive_jobs_are_made_while_one_of_the_workers_is_away(environment: FaultEnvironment, lanes: str) -> None:
    (killed,) = environment.installation.workers(lanes)
    environment.kill(killed)
    path, _ = environment.master()
    assert environment.installation.ask(path).status_code == 200
    assert killed not in environment.workers()
    environment.assert_clean()


def test_a_bulk_request_is_spread_by_the_workers(environment: FaultEnvironment) -> None:
    paths = [environment.master()[0] for _ in range(25)]
    recipes = [Mezzanine.parse(path) for path in paths]
    assert environment.jobs().spread(recipes) == 25
    until(lambda: all(environment.installation.stored(path) for path in paths), what="all of them")
    assert [environment.repository.count(path) for path in paths] == [1] * 25
    assert environment.jobs().chunks.names() == []
    environment.assert_clean()
