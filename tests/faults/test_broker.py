"""The broker dies, freezes, forgets, fills up or hangs up while an image is made: it is made once all the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from tests.faults.support.environment import frozen, wait_for_image
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.support.environment import FaultEnvironment


def test_a_killed_broker_comes_back_and_nothing_is_made_twice(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.wait_for_attempt(path)
    environment.kill(environment.broker())
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=1)


def test_after_the_broker_lost_its_data_waiting_requests_queue_again(environment: FaultEnvironment) -> None:
    """Jobs, leases and messages are lost. Waiting requests queue their jobs again; workers find no job to end."""
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.wait_for_attempt(path)
    environment.wipe_broker()
    until(lambda: environment.repository.count(path) == 2, what="another start")
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=2)


def test_a_frozen_broker_makes_nothing_run_twice(environment: FaultEnvironment) -> None:
    """The outage is longer than a lease. The reaper waits until leases can be renewed before it ends any."""
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.wait_for_attempt(path)
    broker, ends = environment.broker(), time.monotonic() + 4
    with frozen(broker):
        until(lambda: time.monotonic() > ends)
    until(lambda: environment.job(path) is not None, what="an answer of the broker")
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=1)


def test_while_the_broker_is_frozen_hits_are_served_and_misses_get_503(environment: FaultEnvironment) -> None:
    warm, _ = environment.master()
    cold, _ = environment.master()
    assert environment.installation.ask(warm).status_code == 200
    with frozen(environment.broker()):
        began = time.monotonic()
        assert environment.installation.ask(warm).status_code == 200
        assert time.monotonic() - began < 2, "a question to the broker is given up after 2 s"
        missed = environment.installation.ask(cold)
        assert (missed.status_code, missed.json()["type"]) == (503, "/problems/broker-down")
        assert missed.headers["Retry-After"].isdigit()
    environment.assert_recovered(cold, wait_for_image(environment.installation, cold), most=1)


def test_dropped_connections_make_nothing_run_twice(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    environment.wait_for_attempt(path)
    redis = environment.table.redis
    for kind in ("normal", "pubsub"):
        redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    script.go.set()
    environment.assert_recovered(path, asked.result(), most=1)


def test_a_full_broker_refuses_and_goes_on_where_it_was(environment: FaultEnvironment) -> None:
    running, script = environment.slow_master()
    asked = environment.request_in_background(running)
    environment.wait_for_attempt(running)
    redis = environment.table.redis
    redis.config_set("maxmemory", "1mb")
    cold, _ = environment.master()
    try:
        assert environment.installation.ask(cold).status_code == 503
        script.go.set()
    finally:
        redis.config_set("maxmemory", "0")
    environment.assert_recovered(running, asked.result(), most=1)
    environment.assert_recovered(cold, wait_for_image(environment.installation, cold), most=1)


@pytest.mark.slow
def test_a_message_that_was_lost_is_sent_again(environment: FaultEnvironment) -> None:
    """Kombu loses a message if its process dies after it takes the message and before it records that."""
    path, _ = environment.master()
    environment.jobs().table.ensure(Mezzanine.parse(path), Lane.BULK)  # and its message is not sent
    until(lambda: environment.installation.stored(path), what="the image, without another request")
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)


def test_many_faults_leave_no_connection_behind(environment: FaultEnvironment) -> None:
    """After all that was done above, and again after it: as many clients as before."""

    def clients() -> int:
        return len(environment.table.redis.client_list())

    path, _ = environment.master()
    wait_for_image(environment.installation, path)
    before = clients()
    for _ in range(3):
        environment.table.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        path, _ = environment.master()
        wait_for_image(environment.installation, path)
    until(lambda: clients() <= before + 4, what=f"no more than the {before} clients of before")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_broker_that_evicts_is_refused(install: Callable[..., FaultEnvironment], policy: str) -> None:
    environment = install()
    environment.table.redis.config_set("maxmemory-policy", policy)

    def broker() -> str:
        answer = environment.installation.request("/readyz")
        return f"{answer.status_code} {answer.json()['broker']}"

    until(lambda: broker().startswith("503") and policy in broker(), what="red readiness")
    environment.kill(environment.workers()[0])
    until(lambda: "Redis may evict jobs" in environment.installation.journal.read_text(), what="the worker's refusal")
    environment.table.redis.config_set("maxmemory-policy", "noeviction")
    path, _ = environment.master()
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)
