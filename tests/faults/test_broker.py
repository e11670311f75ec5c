"""The broker dies, freezes, forgets, fills up or hangs up while an image is made: it is made once all the same."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from mezcal.runtime.processes import SILENT_SECONDS, HealthSign
from tests.faults.support.environment import QUICK, frozen, wait_for_image
from tests.support.broker import running_broker
from tests.support.installation import memory_folder_of, running_installation
from tests.support.scrape import scraped, total
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.support.environment import FaultEnvironment
    from tests.support.origin_server import OriginServer


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
        until(lambda: seconds_of_hit(environment, warm) < 2, what="a hit that does not ask the broker, which takes 2 s")
        missed = environment.installation.ask(cold)
        assert (missed.status_code, missed.json()["type"]) == (503, "/problems/broker-down")
        assert missed.headers["Retry-After"].isdigit()
    environment.assert_recovered(cold, wait_for_image(environment.installation, cold), most=1)


def seconds_of_hit(environment: FaultEnvironment, path: str) -> float:
    began = time.monotonic()
    assert environment.installation.ask(path).status_code == 200
    return time.monotonic() - began


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


def test_a_broker_that_refuses_to_write_ends_no_worker(environment: FaultEnvironment) -> None:
    """So it answers when the disk of its state is full, after it became a replica, or while it loads its state."""
    warm, _ = environment.master()
    assert environment.installation.ask(warm).status_code == 200
    workers, redis = environment.workers(), environment.table.redis
    cold, _ = environment.master()
    lines = environment.installation.journal.read_text().count("NOREPLICAS")
    redis.config_set("min-replicas-to-write", "1")
    try:
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert environment.installation.ask(warm).status_code == 200
        assert environment.installation.ask(cold).status_code == 503
        text = environment.installation.journal.read_text
        until(lambda: text().count("NOREPLICAS") > lines + 2, what="errors in the workers")
    finally:
        redis.config_set("min-replicas-to-write", "0")
    environment.assert_recovered(cold, wait_for_image(environment.installation, cold), most=1)
    assert environment.workers() == workers


def test_damaged_state_is_put_aside_at_the_start(install: Callable[..., FaultEnvironment]) -> None:
    """A power cut leaves zeros behind the last command, an empty list of files, or a file that is none."""
    environment = install()
    installation = environment.installation
    warm, _ = environment.master()
    assert installation.ask(warm).status_code == 200
    installation.stop()
    zeros_at_the_end(installation.folder / "data" / "broker")
    installation.start()
    assert_put_aside(environment, warm, 1)
    for number, damage in enumerate((empty_manifest, no_base), 2):
        broker = environment.broker()
        with frozen(broker):
            damage(installation.folder / "data" / "broker")
            environment.kill(broker)
        assert_put_aside(environment, warm, number)


def assert_put_aside(environment: FaultEnvironment, warm: str, number: int) -> None:
    installation = environment.installation
    assert installation.ask(warm).status_code == 200
    cold, _ = environment.master()
    environment.assert_recovered(cold, wait_for_image(installation, cold), most=1)
    asides = list((installation.folder / "data").glob("broker.damaged-*"))
    assert len(asides) == number
    assert list(asides[0].rglob("*.aof"))
    assert installation.journal.read_text().count("THE BROKER'S STATE WAS DAMAGED") == number
    assert total(scraped(installation), "mezcal_broker_damaged_states") == number


def zeros_at_the_end(state: Path) -> None:
    [log] = state.glob("*/*.incr.aof")
    with log.open("ab") as file:
        file.write(bytes(512))


def empty_manifest(state: Path) -> None:
    [manifest] = state.glob("*/*.manifest")
    manifest.write_bytes(b"")


def no_base(state: Path) -> None:
    [base] = state.glob("*/*.base.rdb")
    base.write_bytes(bytes(base.stat().st_size))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("outage", ["frozen", "gone"])
def test_workers_stay_healthy_while_the_broker_is_away(tmp_path: Path, repository: OriginServer, outage: str) -> None:
    """For longer than a heartbeat may be old, and with events that cannot be sent."""
    with (
        running_broker(tmp_path) as broker,
        running_installation(tmp_path, repository.url, REDIS_URL=broker.url, **QUICK) as installation,
    ):
        sign = HealthSign(heartbeats=tuple(memory_folder_of(installation).glob("*.alive")))
        assert len(sign.heartbeats) == 2
        assert broker.process is not None
        ends = time.monotonic() + SILENT_SECONDS + 10
        if outage == "gone":
            broker.stop()
        with frozen(*([broker.process.pid] if broker.process else [])):
            until(lambda: not sign.healthy() or time.monotonic() > ends, SILENT_SECONDS + 40)
            assert sign.healthy()
        if outage == "gone":
            broker.start()
        until(lambda: installation.request("/readyz").status_code == 200, 30, "an installation that is well")
        assert installation.ask("maps/valley.tif").status_code == 200


@pytest.mark.slow
def test_a_dead_workers_job_is_made_while_every_connection_breaks_twice_a_second(environment: FaultEnvironment) -> None:
    path, script = environment.slow_master()
    asked = environment.request_in_background(path)
    worker = environment.worker_of(path)
    script.go.set()
    over = threading.Event()

    def break_connections() -> None:
        while not over.wait(0.5):
            for kind in ("normal", "pubsub"):
                environment.table.redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    thread = threading.Thread(target=break_connections)
    thread.start()
    try:
        environment.kill(worker)
        until(lambda: environment.installation.stored(path), 40, "the image")
    finally:
        over.set()
        thread.join()
    assert asked.result().status_code in {200, 503}
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=2)


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
    until(lambda: "it may evict jobs" in environment.installation.journal.read_text(), what="the worker's refusal")
    environment.table.redis.config_set("maxmemory-policy", "noeviction")
    path, _ = environment.master()
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=1)
