"""Whoever dies while an image is made: it is made all the same, with exactly one attempt more."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.support.scene import BEARER, served, standing_still, tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.support.scene import Scene


def process_of(worker: str | None) -> int:
    """The pool process of a job's record."""
    assert worker is not None
    return int(worker.rpartition(":")[2])


def test_a_killed_pool_process_costs_one_attempt_and_no_wait_for_the_lease(scene: Scene) -> None:
    path, script = scene.held()
    asked = scene.asked(path)
    scene.kill(process_of(scene.running(path).worker))
    began = time.monotonic()
    job = scene.running(path, after=1)
    assert time.monotonic() - began < 1.5, "at once, not at the end of the lease"
    assert (job.attempts, len(job.history)) == (2, 1)
    script.go.set()
    scene.well(path, asked.result(), most=2)


def test_a_killed_worker_costs_one_attempt_and_is_missed_within_15_seconds(scene: Scene) -> None:
    path, script = scene.held()
    asked = scene.asked(path)
    scene.kill(scene.worker_of(path))
    began = time.monotonic()
    assert scene.running(path, after=1).attempts == 2
    assert time.monotonic() - began < 15
    script.go.set()
    scene.well(path, asked.result(), most=2)


def test_a_machine_that_freezes_and_dies_is_missed_too(scene: Scene) -> None:
    """Its processes stand still, hold on to their sockets, and are gone later."""
    path, script = scene.held()
    asked = scene.asked(path)
    scene.running(path)
    workers, pool = scene.workers(), scene.pool()
    for pid in (*workers, *pool):
        os.kill(pid, signal.SIGSTOP)
    until(lambda: scene.table.redis.zscore(scene.table.keys.running, scene.job(path).key) is not None)
    for worker in workers:
        scene.kill(worker)
    assert scene.running(path, after=1).attempts == 2
    script.go.set()
    scene.well(path, asked.result(), most=2)


def test_a_process_that_stood_still_and_comes_back_publishes_nothing(scene: Scene) -> None:
    """Its lease went to another process, which reads the master as it is now."""
    path, script = scene.held()
    asked = scene.asked(path)
    late = process_of(scene.running(path).worker)
    with standing_still(late):
        script.body = tiff(90)
        scene.running(path, after=1)
        script.go.set()
        answer = asked.result()
    scene.well(path, answer, most=2)
    until(lambda: scene.installation.ask("agave-p3.tif").status_code == 200, what="the late one to be of use again")
    assert served(scene.installation, path).content == answer.content


def test_a_job_that_keeps_ending_its_process_is_quarantined_and_the_pool_goes_on(scene: Scene) -> None:
    path, script = scene.held()
    asked = scene.asked(path)
    for attempt in range(3):
        scene.kill(process_of(scene.running(path, after=attempt).worker))
    answer = asked.result()
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/quarantined")
    script.go.set()
    assert [scene.installation.ask(path).status_code for _ in range(20)] == [422] * 20
    assert scene.repository.count(path) == 3
    other, _ = scene.master()
    assert scene.installation.ask(other).status_code == 200
    listed = scene.installation.request("/jobs?state=failed", headers=BEARER).json()["jobs"]
    told = next(job for job in listed if job["id"] == answer.json()["job"])
    assert (told["state"], len(told["history"])) == ("quarantined", 3)
    assert scene.installation.request(f"/jobs/{told['id']}/retry", "POST").status_code == 401
    assert scene.installation.request(f"/jobs/{told['id']}/retry", "POST", headers=BEARER).status_code == 202
    scene.well(path, served(scene.installation, path), most=4)


@pytest.mark.slow
def test_a_conversion_that_hangs_is_ended_with_its_process_and_not_started_again(
    install: Callable[..., Scene],
) -> None:
    """Its process stands still: no time limit but the one that kills reaches it."""
    hung = install(JOB_TIME_LIMIT="5", JOB_TIME_GRACE="1", LEASE_SECONDS="60")
    path, script = hung.held()
    asked = hung.asked(path)
    pid = process_of(hung.running(path).worker)
    os.kill(pid, signal.SIGSTOP)
    answer = asked.result()
    assert (answer.status_code, answer.json()["type"]) == (504, "/problems/timed-out")
    script.go.set()
    assert hung.installation.ask(path).status_code == 504
    assert hung.repository.count(path) == 1
    until(lambda: pid not in hung.pool() and len(hung.pool()) == 2, what="another process in its place")
    hung.tidy()


def test_a_killed_api_process_takes_its_askers_with_it_and_no_job(scene: Scene) -> None:
    path, script = scene.held()
    asked = scene.asked(path)
    scene.running(path)
    for pid in scene.installation.pids("api:create_app")[1:]:
        scene.kill(pid)
    assert asked.exception() is not None
    script.go.set()
    scene.well(path, served(scene.installation, path), most=1)
