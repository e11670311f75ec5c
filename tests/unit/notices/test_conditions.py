"""What needs a person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mezcal.errors import StoreDown
from mezcal.jobs import Jobs, Worker
from mezcal.jobs.bulk import registrations
from mezcal.jobs.bulk.registrations import RegistrationStatus
from mezcal.notices import conditions
from mezcal.notices.conditions import present
from mezcal.recipe import Frame, Thumbnail, ThumbnailOptions
from mezcal.settings import Settings, load
from mezcal.store import open_store
from mezcal.store.local.store import LocalStore
from mezcal.store.usage import Usage
from mezcal.telemetry.gauges import Gauges

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.broker import Broker

HOST = "repository.example"


@pytest.fixture
def settings(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(LocalStore, "free_bytes", lambda _: 10**13)
    return load(
        _env_file=None,
        data_dir=tmp_path / "data",
        storage_dir=tmp_path / "cache",
        redis_url=broker.url,
        key_prefix=f"{uuid4().hex}:",
        repo_base_url=f"https://{HOST}/rest/",
    )


@pytest.fixture
def jobs(settings: Settings) -> Jobs:
    jobs = Jobs.of(settings)
    jobs.workers.heartbeat(Worker("one", 1, ("bulk", "interactive")))
    return jobs


def names(jobs: Jobs, settings: Settings, *known: str, **changed: Any) -> list[str]:
    given = settings.model_copy(update=changed)
    given.cache_dir.mkdir(exist_ok=True)
    return [condition.name for condition in present(jobs, open_store(given), given, set(known))]


def metrics_of_registrations(jobs: Jobs, settings: Settings) -> dict[str, float]:
    samples = [
        sample
        for metric in Gauges(jobs, open_store(settings), settings.data_dir).collect()
        for sample in metric.samples
    ]
    return {sample.name: sample.value for sample in samples if "registration" in sample.name}


def count(jobs: Jobs, minutes_ago: int, **counts: int) -> None:
    jobs.minutes.add(int(time.time()) // 60 - minutes_ago, {name.replace("_", ":", 1): n for name, n in counts.items()})


def failed(jobs: Jobs, minutes_ago: int, failure: str, number: int) -> None:
    jobs.minutes.add(int(time.time()) // 60 - minutes_ago, {f"failure:{failure}": number, "jobs:failed": number})


def test_one_damaged_master_needs_a_person(jobs: Jobs, settings: Settings) -> None:
    failed(jobs, 70, "master-damaged", 50)
    assert names(jobs, settings) == []
    failed(jobs, 5, "master-damaged", 1)
    assert names(jobs, settings) == ["masters-damaged"]


def test_a_healthy_installation_needs_no_person(jobs: Jobs, settings: Settings) -> None:
    count(jobs, 5, jobs_made=1000)
    failed(jobs, 5, "undecodable", 19)
    failed(jobs, 5, "master-missing", 900)  # clients ask for what is not there
    assert names(jobs, settings) == []


def test_failures_that_grow_are_named_by_class_and_end_later_than_they_begin(jobs: Jobs, settings: Settings) -> None:
    count(jobs, 5, jobs_made=1000)
    failed(jobs, 5, "undecodable", 25)
    failed(jobs, 100, "undecodable", 5)
    failed(jobs, 5, "master-denied", 30)
    failed(jobs, 100, "master-denied", 29)  # as many as before, and few of all
    assert names(jobs, settings) == ["failures-grow:undecodable"]
    assert names(jobs, settings, "failures-grow:master-denied") == [
        "failures-grow:master-denied",
        "failures-grow:undecodable",
    ]


def test_growing_failures_say_their_cause_and_the_next_step(jobs: Jobs, settings: Settings) -> None:
    failed(jobs, 5, "master-denied", 1200)
    settings.cache_dir.mkdir()
    (condition,) = present(jobs, open_store(settings), settings, set())
    assert condition.sentence.startswith(
        "1,200 attempts ended as master-denied in the last hour, 0 in the hour before. "
    )
    assert "answered 401 or 403" in condition.sentence
    assert "AUTH_TYPE" in condition.step
    assert condition.page == "docs/configuration.md"


def test_no_worker_that_takes_jobs(jobs: Jobs, settings: Settings) -> None:
    jobs.workers.remove(Worker("one", 1, ("bulk", "interactive")))
    jobs.workers.heartbeat(Worker("beat", 1, ()))
    assert names(jobs, settings) == ["workers-silent"]


def test_an_origin_that_is_paused_or_probed_is_away(jobs: Jobs, settings: Settings) -> None:
    circuit = jobs.table.keys.circuit(HOST)
    for until in (time.time() + 60, time.time() - 60):  # open, half-open
        jobs.table.redis.hset(circuit, mapping={"paused_at": 1, "paused_until": int(until * 1000)})
        assert names(jobs, settings) == [f"origin-away:{HOST}"]


def test_quarantined_jobs(jobs: Jobs, settings: Settings) -> None:
    table = jobs.table
    table.redis.hset(table.keys.job("a" * 32), "state", "quarantined")
    table.redis.zadd(table.keys.failed, {"a" * 32: time.time() * 1000 + 1e9})
    assert names(jobs, settings) == ["quarantine"]


def test_a_store_that_refuses(jobs: Jobs, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: LocalStore) -> None:
        raise StoreDown("<b>no space</b>")

    monkeypatch.setattr(LocalStore, "check", refuse)
    assert names(jobs, settings) == ["store-refuses"]


def test_a_disk_that_is_nearly_full(jobs: Jobs, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions.shutil, "disk_usage", lambda _: type("Disk", (), {"total": 10**12}))
    for free, least, known, found in (
        (9.9e9, 0, (), True),
        (10.5e9, 0, (), False),
        (10.5e9, 0, ("disk-nearly-full",), True),
        (19e9, int(20e9), (), True),
    ):
        monkeypatch.setattr(LocalStore, "free_bytes", lambda _, free=free: int(free))
        assert (names(jobs, settings, *known, cache_min_free_bytes=least) == ["disk-nearly-full"]) is found


def test_a_disk_for_which_images_are_evicted_has_time(
    jobs: Jobs, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStore, "free_bytes", lambda _: 1)
    monkeypatch.setattr(LocalStore, "usage", lambda _: Usage(1, 12 * 10**9))
    settings.cache_dir.mkdir()
    given = settings.model_copy(update={"cache_min_free_bytes": 2, "cache_max_bytes": 10**10})
    found = present(jobs, open_store(given), given, set())
    assert [(each.name, each.grace) for each in found] == [("disk-nearly-full", 1800), ("cache-over-limit", 1800)]


def test_a_state_of_the_broker_that_was_put_aside(jobs: Jobs, settings: Settings) -> None:
    (settings.data_dir / "broker.damaged-20261129").mkdir(parents=True)
    assert names(jobs, settings) == ["broker-state-damaged"]


def test_registrations_that_fail_for_minutes_or_are_refused_need_a_person(jobs: Jobs, settings: Settings) -> None:
    thumbnail = Thumbnail((Frame(17, "a.fits", "v"),), ThumbnailOptions.parse({}))
    jobs.registrations.add([thumbnail])
    assert names(jobs, settings, archive_bucket="archive") == []
    values = {"mezcal_waiting_registrations": 1, "mezcal_registration_up": 1, "mezcal_refused_registrations": 0}
    assert metrics_of_registrations(jobs, settings) == values
    for attempts in range(6):
        (waiting,) = jobs.registrations.take(5, 0) or [None]
        assert waiting is not None
        assert waiting.attempts == attempts
        jobs.registrations.delay(waiting, -1)
    assert names(jobs, settings, archive_bucket="archive") == ["registrations-wait"]
    assert metrics_of_registrations(jobs, settings) == values | {"mezcal_registration_up": 0}
    assert names(jobs, settings) == [], "this installation registers none"
    jobs.registrations.refuse(thumbnail.key, "the thumbnail of a.fits", "the archive answered 400")
    assert names(jobs, settings, archive_bucket="archive") == ["registrations-refused"]


def test_a_refused_registration_is_over_after_a_day(
    jobs: Jobs, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.registrations.refuse("key", "the thumbnail of a.fits", "the archive answered 400")
    monkeypatch.setattr(registrations, "REFUSED_LATELY", -1)
    assert jobs.registrations.status() == RegistrationStatus(0, stuck=False, refused=0)
    assert len(jobs.registrations.refused()) == 1, "the list lasts longer"
