"""Overload: which requests wait, which are refused, and how a failing repository is protected."""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from tests.faults.support.environment import frozen, wait_for_image
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.support.environment import FaultEnvironment
    from tests.support.installation import Installation


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """Two may wait."""
    return {"API_PROCESSES": "1", "WAITERS_MAX": "2"}


def test_waiting_requests_are_limited_and_a_client_that_leaves_frees_its_place(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    warm, _ = environment.master()
    assert environment.installation.ask(warm).status_code == 200
    clients = [hanging(environment.installation, path) for _ in range(2)]
    until(lambda: refused(environment.installation, path), what="all places to be taken")
    began = time.monotonic()
    assert environment.installation.ask(path).headers["Retry-After"].isdigit()
    assert environment.installation.ask(warm).status_code == 200
    assert time.monotonic() - began < 20, "at once, not after WAIT_SECONDS (25), and hits as ever"
    clients[0].close()
    asked = until(lambda: waits(environment, path), what="a free place")
    script.go.set()
    assert asked.result().status_code == 200
    clients[1].close()
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)


def hanging(installation: Installation, path: str) -> socket.socket:
    """Returns the connection of a client that requests *path*, is not refused, and reads nothing."""
    host, _, port = installation.url.removeprefix("http://").partition(":")
    while True:
        line = socket.create_connection((host, int(port)))
        line.sendall(f"GET /images/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answered, _, _ = select.select([line], [], [], 0.3)
        if not answered:
            return line
        line.close()


def refused(installation: Installation, path: str) -> bool:
    answer = installation.ask(path, headers={"Prefer": "wait=0"})
    return answer.json().get("type") == "/problems/busy"


def waits(environment: FaultEnvironment, path: str):
    if refused(environment.installation, path):
        return False
    return environment.request_in_background(path)


def test_a_client_that_hangs_up_while_the_broker_is_away_frees_its_place(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    clients = [hanging(environment.installation, path) for _ in range(2)]
    until(lambda: refused(environment.installation, path), what="all places to be taken")
    with frozen(environment.broker()):
        clients[0].close()
    until(lambda: not refused(environment.installation, path), what="a free place before WAIT_SECONDS (25)")
    script.go.set()
    clients[1].close()
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)


def test_a_full_lane_refuses_at_once(install: Callable[..., FaultEnvironment]) -> None:
    environment = install(QUEUE_MAX="1")
    held = [environment.slow_master() for _ in range(3)]
    for path, _ in held[:2]:
        environment.request_in_background(path)
        environment.wait_for_attempt(path)
    environment.request_in_background(held[2][0])
    until(lambda: environment.table.depths()["interactive"] == 1)
    one_more, _ = environment.master()
    answer = environment.installation.ask(one_more)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
    for _, script in held:
        script.go.set()
    environment.assert_recovered(one_more, wait_for_image(environment.installation, one_more), most=1)


@pytest.mark.slow
def test_the_jobs_that_read_from_a_repository_are_limited(install: Callable[..., FaultEnvironment]) -> None:
    """A job that finds no place is delayed without counting an attempt, and made in the end."""
    environment = install(ORIGIN_CONCURRENCY="1", WAIT_SECONDS="60")
    first, script = environment.slow_master()
    others = [environment.master()[0] for _ in range(3)]
    asked = [environment.request_in_background(first)]
    environment.wait_for_attempt(first)
    asked += [environment.request_in_background(path) for path in others]
    until(lambda: environment.table.depths()["delayed"] >= 1, what="a delayed job")
    assert sum(environment.repository.count(path) for path in others) == 0
    script.go.set()
    assert [one.result().status_code for one in asked] == [200] * 4
    for path in others:
        environment.assert_recovered(path, environment.installation.ask(path), most=1)


@pytest.mark.slow
def test_the_place_of_a_killed_process_is_free_again_when_its_lease_is_over(
    install: Callable[..., FaultEnvironment],
) -> None:
    environment = install(ORIGIN_CONCURRENCY="1", WAIT_SECONDS="60")
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    job = environment.wait_for_attempt(path)
    assert job.worker is not None
    environment.kill(int(job.worker.rpartition(":")[2]))
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=2)


@pytest.mark.slow
def test_a_failing_repository_gets_no_requests_and_then_one_probe(install: Callable[..., FaultEnvironment]) -> None:
    environment = install(BREAKER_FAILURES="3", BREAKER_SECONDS="3", ORIGIN_RETRIES="0")
    host = environment.repository.url.split("/")[2]
    gate = environment.jobs()
    failing = [environment.master(fails=-1) for _ in range(3)]
    assert gate.circuit(host).state == "closed"
    for path, _ in failing:
        assert environment.installation.ask(path).status_code == 502
    assert gate.circuit(host).state == "open"
    other, _ = environment.master()
    began = time.monotonic()
    paused = environment.installation.ask(other)
    assert time.monotonic() - began < 3, "not after BREAKER_SECONDS"
    assert (paused.status_code, paused.json()["type"]) == (503, "/problems/origin-paused")
    assert 1 <= int(paused.headers["Retry-After"]) <= 3
    assert environment.repository.count(other) == 0
    queued, _ = environment.master()
    environment.jobs().ask(Mezzanine.parse(queued), Lane.BULK)
    until(lambda: gate.circuit(host).state == "half-open", what="its rest to be over")
    assert environment.installation.ask(failing[0][0]).status_code == 502, "the job that probes"
    assert gate.circuit(host).state == "open", "and it is still failing"
    assert gate.circuit(host).seconds > 3
    until(lambda: gate.circuit(host).state == "half-open", what="its rest to be over")
    environment.assert_recovered(other, wait_for_image(environment.installation, other), most=1)
    assert gate.circuit(host).state == "closed"
    assert until(lambda: environment.installation.stored(queued), 30, "the delayed job")


@pytest.mark.slow
@pytest.mark.parametrize("odd", ["400", "loop", "elsewhere", "cut"])
def test_paths_that_the_repository_refuses_cost_the_other_masters_nothing(
    install: Callable[..., FaultEnvironment], odd: str
) -> None:
    """Half of all paths fail as *odd* says, more in a row than open the circuit. No other master is refused."""
    environment = install(BREAKER_FAILURES="3", ORIGIN_RETRIES="0")
    statuses: Counter[tuple[str, int]] = Counter()
    for _ in range(5):
        for kind, ask in (("odd", odd_master), ("good", good_master)):
            answers = [environment.request_in_background(ask(environment, odd)) for _ in range(5)]
            statuses.update((kind, answer.result().status_code) for answer in answers)
    assert statuses == {("odd", 502): 25, ("good", 200): 25}


def odd_master(environment: FaultEnvironment, odd: str) -> str:
    path, script = environment.master()
    match odd:
        case "400":
            script.fails, script.status = -1, 400
        case "loop":
            script.redirect = path
        case "elsewhere":
            script.redirect = "http://127.0.0.2:1/x"
        case "cut":
            script.cut_at = 2000
    return path


def good_master(environment: FaultEnvironment, _odd: str) -> str:
    return environment.master()[0]


@pytest.mark.slow
def test_one_broken_master_does_not_open_the_circuit(install: Callable[..., FaultEnvironment]) -> None:
    environment = install(BREAKER_FAILURES="2", ORIGIN_RETRIES="0", FAILURE_BRIEF_SECONDS="0")
    broken, _ = environment.master(fails=-1)
    for _ in range(4):
        until(lambda: environment.job(broken) is None, what="the failure to be forgotten")
        assert environment.installation.ask(broken).status_code == 502
    assert environment.installation.ask(environment.master()[0]).status_code == 200
