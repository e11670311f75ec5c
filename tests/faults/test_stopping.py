"""Processes that get SIGTERM: no job is lost, none is made twice, every request is answered."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.support.environment import wait_for_image
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.support.environment import FaultEnvironment


def test_a_worker_that_stops_finishes_what_it_began(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    worker = environment.worker_of(path)
    before = environment.shutdowns()
    os.kill(worker, signal.SIGTERM)
    until(lambda: environment.shutdowns() > before, what="the shutdown")
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=1)
    until(lambda: worker not in environment.workers(), what="another worker")


def test_past_its_drain_a_worker_gives_its_jobs_back_uncounted(install: Callable[..., FaultEnvironment]) -> None:
    environment = install(DRAIN_SECONDS="0.2", LEASE_SECONDS="60", WAIT_SECONDS="60")
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    worker = environment.worker_of(path)
    began = time.monotonic()
    os.kill(worker, signal.SIGTERM)
    environment.repository.wait_for_requests(path, 2)
    assert time.monotonic() - began < 50, "without waiting for its lease"
    job = environment.job(path)
    assert job is not None
    assert (job.attempts, job.history[0]["what"]) == (1, "given back at shutdown")
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=2)


@pytest.mark.slow
def test_an_api_that_stops_answers_waiting_requests_and_the_job_continues(
    install: Callable[..., FaultEnvironment],
) -> None:
    environment = install(DRAIN_SECONDS="2", API_PROCESSES="1")
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.wait_for_attempt(path)
    os.kill(environment.installation.pids("api.server.gunicorn")[0], signal.SIGTERM)
    answer = asked.result()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"].isdigit()
    script.go.set()
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)


@pytest.mark.slow
def test_stopped_and_started_again_it_goes_on_where_it_was(install: Callable[..., FaultEnvironment]) -> None:
    environment = install(DRAIN_SECONDS="1")
    paths = [environment.slow_master() for _ in range(4)]
    for path, _ in paths:
        assert environment.installation.ask(path, headers={"Prefer": "respond-async"}).status_code == 202
    environment.wait_for_attempt(paths[0][0])
    assert environment.installation.stop() == 0
    for _, script in paths:
        script.go.set()
    environment.installation.start()
    until(lambda: all(environment.installation.stored(path) for path, _ in paths), 30, "all of them, unasked")
    for path, _ in paths:
        environment.assert_recovered(path, environment.installation.ask(path), most=2)
