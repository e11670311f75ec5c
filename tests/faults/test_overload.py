"""More than can be done at once: who waits, who is refused, and what a sick repository is spared."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from tests.faults.support.scene import served, standing_still
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.support.scene import Scene
    from tests.support.installation import Installation


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """Two may wait."""
    return {"API_PROCESSES": "1", "WAITERS_MAX": "2"}


def test_places_are_bounded_and_those_who_hang_up_free_theirs(scene: Scene) -> None:
    path, script = scene.held()
    warm, _ = scene.master()
    assert scene.installation.ask(warm).status_code == 200
    clients = [hanging(scene.installation, path) for _ in range(2)]
    until(lambda: refused(scene.installation, path), what="all places to be taken")
    began = time.monotonic()
    assert scene.installation.ask(path).headers["Retry-After"].isdigit()
    assert scene.installation.ask(warm).status_code == 200
    assert time.monotonic() - began < 0.5, "at once, and hits as ever"
    clients[0].close()
    left = time.monotonic()
    asked = until(lambda: waits(scene, path), 5, "a free place")
    assert time.monotonic() - left < 1.5
    script.go.set()
    assert asked.result().status_code == 200
    clients[1].close()
    scene.well(path, served(scene.installation, path), most=1)


def hanging(installation: Installation, path: str) -> socket.socket:
    """A client that asks for *path*, is not refused, and reads nothing."""
    host, _, port = installation.url.removeprefix("http://").partition(":")
    while True:
        line = socket.create_connection((host, int(port)))
        line.sendall(f"GET /images/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answered, _, _ = select.select([line], [], [], 0.3)
        if not answered:
            return line
        line.close()


def refused(installation: Installation, path: str) -> bool:
    answer = installation.ask(path, headers={"Prefer": "wait=0"})
    return answer.json().get("type") == "/problems/busy"


def waits(scene: Scene, path: str):
    if refused(scene.installation, path):
        return False
    return scene.asked(path)


def test_a_client_that_hangs_up_while_the_broker_is_away_frees_its_place(scene: Scene) -> None:
    path, script = scene.held()
    clients = [hanging(scene.installation, path) for _ in range(2)]
    until(lambda: refused(scene.installation, path), what="all places to be taken")
    with standing_still(scene.broker()):
        clients[0].close()
    until(lambda: not refused(scene.installation, path), 3, "a free place")
    script.go.set()
    clients[1].close()
    scene.well(path, served(scene.installation, path), most=1)


def test_a_full_lane_refuses_at_once(install: Callable[..., Scene]) -> None:
    scene = install(QUEUE_MAX="1")
    held = [scene.held() for _ in range(3)]
    for path, _ in held[:2]:
        scene.asked(path)
        scene.running(path)
    scene.asked(held[2][0])
    until(lambda: scene.table.depths()["interactive"] == 1)
    one_more, _ = scene.master()
    answer = scene.installation.ask(one_more)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
    for _, script in held:
        script.go.set()
    scene.well(one_more, served(scene.installation, one_more), most=1)


@pytest.mark.slow
def test_a_repository_has_so_many_readers_at_once_and_no_more(install: Callable[..., Scene]) -> None:
    """Whoever finds no place is put off, without an attempt being counted, and served in the end."""
    scene = install(ORIGIN_CONCURRENCY="1", WAIT_SECONDS="60")
    first, script = scene.held()
    others = [scene.master()[0] for _ in range(3)]
    asked = [scene.asked(first)]
    scene.running(first)
    asked += [scene.asked(path) for path in others]
    until(lambda: scene.table.depths()["delayed"] >= 1, what="one to be put off")
    assert sum(scene.repository.count(path) for path in others) == 0
    script.go.set()
    assert [one.result().status_code for one in asked] == [200] * 4
    for path in others:
        scene.well(path, scene.installation.ask(path), most=1)


@pytest.mark.slow
def test_the_place_of_a_killed_process_is_free_again_when_its_lease_is_over(install: Callable[..., Scene]) -> None:
    scene = install(ORIGIN_CONCURRENCY="1", WAIT_SECONDS="60")
    path, script = scene.held()
    asked = scene.asked(path)
    job = scene.running(path)
    assert job.worker is not None
    scene.kill(int(job.worker.rpartition(":")[2]))
    script.go.set()
    scene.well(path, asked.result(), most=2)


@pytest.mark.slow
def test_a_sick_repository_is_left_alone_then_tried_by_one(install: Callable[..., Scene]) -> None:
    scene = install(BREAKER_FAILURES="3", BREAKER_SECONDS="3", ORIGIN_RETRIES="0")
    host = scene.repository.url.split("/")[2]
    gate = scene.jobs()
    sick = [scene.master(fails=-1) for _ in range(3)]
    assert gate.circuit(host).state == "closed"
    for path, _ in sick:
        assert scene.installation.ask(path).status_code == 502
    assert gate.circuit(host).state == "open"
    other, _ = scene.master()
    began = time.monotonic()
    resting = scene.installation.ask(other)
    assert time.monotonic() - began < 0.5
    assert (resting.status_code, resting.json()["type"]) == (503, "/problems/origin-resting")
    assert 1 <= int(resting.headers["Retry-After"]) <= 3
    assert scene.repository.count(other) == 0
    queued, _ = scene.master()
    scene.jobs().ask(Mezzanine.parse(queued), Lane.BULK)
    until(lambda: gate.circuit(host).state == "half-open", what="its rest to be over")
    assert scene.installation.ask(sick[0][0]).status_code == 502, "the one that tries"
    assert gate.circuit(host).state == "open", "and it is still sick"
    assert gate.circuit(host).seconds > 3
    until(lambda: gate.circuit(host).state == "half-open", what="its rest to be over")
    scene.well(other, served(scene.installation, other), most=1)
    assert gate.circuit(host).state == "closed"
    assert until(lambda: scene.installation.stored(queued), 30, "what was put off")


@pytest.mark.slow
def test_one_broken_master_makes_no_repository_sick(install: Callable[..., Scene]) -> None:
    scene = install(BREAKER_FAILURES="2", ORIGIN_RETRIES="0", FAILURE_BRIEF_SECONDS="0")
    broken, _ = scene.master(fails=-1)
    for _ in range(4):
        until(lambda: scene.job(broken) is None, what="the failure to be forgotten")
        assert scene.installation.ask(broken).status_code == 502
    assert scene.installation.ask(scene.master()[0]).status_code == 200
