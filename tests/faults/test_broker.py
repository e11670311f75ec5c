"""The broker dies, freezes, forgets, fills up or hangs up while an image is made: it is made once all the same."""

from __future__ import annotations

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


def test_a_killed_broker_comes_back_and_nothing_is_made_twice(scene: Scene) -> None:
    path, script = scene.held()
    asked = scene.asked(path)
    scene.running(path)
    scene.kill(scene.broker())
    script.go.set()
    scene.well(path, asked.result(), most=1)


def test_a_broker_that_forgot_everything_is_asked_again(scene: Scene) -> None:
    """No file of its own: jobs, leases and messages are gone. Who waits asks anew, who works finds nobody to tell."""
    path, script = scene.held()
    asked = scene.asked(path)
    scene.running(path)
    scene.forget_everything()
    until(lambda: scene.repository.count(path) == 2, what="another start")
    script.go.set()
    scene.well(path, asked.result(), most=2)


def test_a_frozen_broker_makes_nothing_run_twice(scene: Scene) -> None:
    """Longer than a lease: whoever counts leases out afterwards waits until they could be renewed."""
    path, script = scene.held()
    asked = scene.asked(path)
    scene.running(path)
    broker, ends = scene.broker(), time.monotonic() + 4
    with standing_still(broker):
        until(lambda: time.monotonic() > ends)
    until(lambda: scene.job(path) is not None, what="an answer of the broker")
    script.go.set()
    scene.well(path, asked.result(), most=1)


def test_while_the_broker_is_frozen_hits_are_served_and_misses_are_told(scene: Scene) -> None:
    warm, _ = scene.master()
    cold, _ = scene.master()
    assert scene.installation.ask(warm).status_code == 200
    with standing_still(scene.broker()):
        began = time.monotonic()
        assert scene.installation.ask(warm).status_code == 200
        assert time.monotonic() - began < 1
        missed = scene.installation.ask(cold)
        assert (missed.status_code, missed.json()["type"]) == (503, "/problems/broker-down")
        assert missed.headers["Retry-After"].isdigit()
    scene.well(cold, served(scene.installation, cold), most=1)


def test_dropped_connections_make_nothing_run_twice(scene: Scene) -> None:
    path, script = scene.held()
    asked = scene.asked(path)
    scene.running(path)
    redis = scene.table.redis
    for kind in ("normal", "pubsub"):
        redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    script.go.set()
    scene.well(path, asked.result(), most=1)


def test_a_full_broker_refuses_and_goes_on_where_it_was(scene: Scene) -> None:
    running, script = scene.held()
    asked = scene.asked(running)
    scene.running(running)
    redis = scene.table.redis
    redis.config_set("maxmemory", "1mb")
    cold, _ = scene.master()
    try:
        assert scene.installation.ask(cold).status_code == 503
        script.go.set()
    finally:
        redis.config_set("maxmemory", "0")
    scene.well(running, asked.result(), most=1)
    scene.well(cold, served(scene.installation, cold), most=1)


@pytest.mark.slow
def test_a_message_that_was_lost_is_sent_again(scene: Scene) -> None:
    """As kombu loses one when its process dies between taking it and noting that it did."""
    path, _ = scene.master()
    scene.jobs().table.ensure(Mezzanine.parse(path), Lane.BULK)  # and nobody sends its message
    until(lambda: scene.installation.stored(path), what="the image, for which nobody asked again")
    scene.well(path, served(scene.installation, path), most=1)


def test_many_faults_leave_no_connection_behind(scene: Scene) -> None:
    """After all that was done above, and again after it: as many clients as before."""

    def clients() -> int:
        return len(scene.table.redis.client_list())

    path, _ = scene.master()
    served(scene.installation, path)
    before = clients()
    for _ in range(3):
        scene.table.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        path, _ = scene.master()
        served(scene.installation, path)
    until(lambda: clients() <= before + 4, what=f"no more than the {before} clients of before")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_broker_that_evicts_is_refused(install: Callable[..., Scene], policy: str) -> None:
    scene = install()
    scene.table.redis.config_set("maxmemory-policy", policy)

    def broker() -> str:
        answer = scene.installation.request("/readyz")
        return f"{answer.status_code} {answer.json()['broker']}"

    until(lambda: broker().startswith("503") and policy in broker(), what="red readiness")
    scene.kill(scene.workers()[0])
    until(lambda: "Redis may evict jobs" in scene.installation.journal.read_text(), what="the worker's refusal")
    scene.table.redis.config_set("maxmemory-policy", "noeviction")
    path, _ = scene.master()
    scene.well(path, served(scene.installation, path), most=1)
