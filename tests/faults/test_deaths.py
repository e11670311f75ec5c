"""A process that dies while it makes an image: the image is made anyway, with exactly one attempt more."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.support.environment import BEARER, frozen, wait_for_image
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.support.environment import FaultEnvironment


def process_of(worker: str | None) -> int:
    """Returns the pool process of a job's record."""
    assert worker is not None
    return int(worker.rpartition(":")[2])


def test_a_killed_pool_process_costs_one_attempt_and_no_wait_for_the_lease(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.kill(process_of(environment.wait_for_attempt(path).worker))
    job = environment.wait_for_attempt(path, after=1)
    assert (job.attempts, len(job.history)) == (2, 1)
    assert job.history[0]["what"] == "its process died", "not at the end of the lease"
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=2)


def test_a_killed_worker_costs_one_attempt_and_is_missed_within_15_seconds(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.kill(environment.worker_of(path))
    began = time.monotonic()
    assert environment.wait_for_attempt(path, after=1).attempts == 2
    assert time.monotonic() - began < 15
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=2)


def test_the_jobs_of_a_machine_that_freezes_and_dies_run_again(environment: FaultEnvironment) -> None:
    """The processes of the machine freeze, keep their sockets open, and are killed later."""
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.wait_for_attempt(path)
    workers, pool = environment.workers(), environment.pool()
    for pid in (*workers, *pool):
        os.kill(pid, signal.SIGSTOP)
    until(lambda: environment.table.redis.zscore(environment.table.keys.running, environment.job(path).key) is not None)
    for worker in workers:
        environment.kill(worker)
    assert environment.wait_for_attempt(path, after=1).attempts == 2
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=2)


def test_a_frozen_process_that_continues_publishes_nothing(environment: FaultEnvironment) -> None:
    """Another process has its lease, and reads the current master."""
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    late = process_of(environment.wait_for_attempt(path).worker)
    with frozen(late):
        script.body = grey_tiff(90)
        environment.wait_for_attempt(path, after=1)
        script.go.set()
        answer = asked.result()
    environment.assert_recovered(path, answer, most=2)
    until(
        lambda: environment.installation.ask("agave-p3.tif").status_code == 200, what="the late one to be of use again"
    )
    assert wait_for_image(environment.installation, path).content == answer.content


def test_a_job_that_keeps_ending_its_process_is_quarantined_and_the_pool_goes_on(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    for attempt in range(3):
        environment.kill(process_of(environment.wait_for_attempt(path, after=attempt).worker))
    answer = asked.result()
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/quarantined")
    script.go.set()
    assert [environment.installation.ask(path).status_code for _ in range(20)] == [422] * 20
    assert environment.repository.count(path) == 3
    other, _ = environment.master()
    assert environment.installation.ask(other).status_code == 200
    listed = environment.installation.request("/jobs?state=failed", headers=BEARER).json()["jobs"]
    job = next(entry for entry in listed if entry["id"] == answer.json()["job"])
    assert (job["state"], len(job["history"])) == ("quarantined", 3)
    assert environment.installation.request(f"/jobs/{job['id']}/retry", "POST").status_code == 401
    assert environment.installation.request(f"/jobs/{job['id']}/retry", "POST", headers=BEARER).status_code == 202
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=4)


@pytest.mark.slow
def test_a_conversion_that_hangs_is_ended_with_its_process_and_not_started_again(
    install: Callable[..., FaultEnvironment],
) -> None:
    """Its process is frozen: only the time limit that kills can end it."""
    hung = install(JOB_TIME_LIMIT="5", JOB_TIME_GRACE="1", LEASE_SECONDS="60")
    path, script = hung.slow_master()
    asked = hung.request_in_background(path)
    pid = process_of(hung.wait_for_attempt(path).worker)
    os.kill(pid, signal.SIGSTOP)
    answer = asked.result()
    assert (answer.status_code, answer.json()["type"]) == (504, "/problems/timed-out")
    script.go.set()
    assert hung.installation.ask(path).status_code == 504
    assert hung.repository.count(path) == 1
    until(lambda: pid not in hung.pool() and len(hung.pool()) == 2, what="another process in its place")
    hung.assert_clean()


def test_a_killed_api_process_ends_its_requests_but_no_job(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.wait_for_attempt(path)
    for pid in environment.installation.pids("api.server.gunicorn")[1:]:
        environment.kill(pid)
    script.go.set()
    assert asked.result().status_code in {200, 502}  # 200: nginx asked the next process, which waited for the same job
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)
