"""Events that fall into a running conversion, a dying worker, an absent broker: the last word is the repository's."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from mezcal.jobs import JobState
from tests.faults.support.environment import BEARER, frozen, stored_shade, wait_for_image
from tests.faults.test_fencing import spin
from tests.support.masters import grey_tiff
from tests.support.signed import event, signed
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from tests.faults.support.environment import FaultEnvironment

OLD, NEW = 40, 220
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """Accept events."""
    return {"WEBHOOK_SECRETS": SECRET}


def report(environment: FaultEnvironment, kind: str, *paths: str) -> requests.Response:
    body = event(kind, *paths)
    return environment.installation.request("/webhooks/standard", "POST", data=body, headers=signed(body, SECRET))


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_after_a_change_during_a_conversion_the_new_version_is_served(
    environment: FaultEnvironment, rounds: int
) -> None:
    """The old download continues at about the time of the event: its image is published already, or will be soon,
    or is still read. Old and new pictures have different greys.
    """
    chance = random.Random(11)
    paths = []
    for _ in range(rounds):
        path, script = environment.slow_master(etag="")
        script.body = grey_tiff(OLD)
        asked = environment.request_in_background(path)
        environment.repository.wait_for_requests(path, 1)
        early = chance.random() < 0.5
        if early:
            script.go.set()
            spin(chance.uniform(0, 0.03))
        script.body = grey_tiff(NEW)  # the repository has it first, then it says so
        answer = report(environment, "updated", path)
        assert answer.status_code == 202
        spin(chance.uniform(0, 0.03))
        script.go.set()
        until(lambda place=answer.headers["Location"]: over(environment, place), 30, "the end of the event")
        assert asked.result().status_code in {200, 503}
        wait_for_image(environment.installation, path)
        assert abs((stored_shade(environment.installation, path) or 0) - NEW) < 3
        paths.append(path)
    environment.assert_clean()
    assert all(abs((stored_shade(environment.installation, path) or 0) - NEW) < 3 for path in paths), "and it stays"


@pytest.mark.slow
def test_soon_after_an_outage_of_the_repository_a_changed_master_is_shown(
    install: Callable[..., FaultEnvironment],
) -> None:
    """Its next attempt would be minutes away, and one changed master is too few to pause the repository."""
    environment = install(WEBHOOK_SECRETS=SECRET, RETRY_SECONDS="3600", ORIGIN_RETRIES="0")
    path, script = environment.master(grey_tiff(OLD))
    assert environment.installation.ask(path).status_code == 200
    script.body, script.fails = grey_tiff(NEW), -1
    assert report(environment, "updated", path).status_code == 202
    redis, keys = environment.table.redis, environment.table.keys
    host = urlsplit(environment.repository.url).netloc
    until(lambda: int(redis.hget(keys.outage(host), "failed") or 0) > 0, 40, "a probe that failed")
    assert environment.job(path).state is JobState.DELAYED  # type: ignore[union-attr]
    assert environment.installation.ask(path).status_code == 200, "the old image, meanwhile"
    script.fails = 0
    began = time.monotonic()
    until(lambda: abs((stored_shade(environment.installation, path) or 0) - NEW) < 3, 60, "the new image")
    print(f"shown {time.monotonic() - began:.1f} s after the end")
    environment.assert_clean()


def over(environment: FaultEnvironment, place: str) -> bool:
    return bool(environment.installation.request(place).json()["state"] == "done")


def test_events_survive_the_death_of_whoever_takes_them_up(environment: FaultEnvironment) -> None:
    """Workers are killed while they spread and make; each item is counted once in the end."""
    masters = []
    for _ in range(30):
        path, _ = environment.master()
        masters.append(path)
    with frozen(*environment.pool(), *environment.workers()):
        answer = report(environment, "created", *masters)
        assert answer.status_code == 202
        for pid in environment.pool():
            environment.kill(pid)
    for worker in environment.workers():
        environment.kill(worker)
    place = answer.headers["Location"]
    until(lambda: over(environment, place), 100, "the end of the batch")
    batch = environment.installation.request(place).json()
    assert (batch["counts"]["done"], batch["items"]) == (30, 30)
    assert all(environment.installation.stored(path) for path in masters)


def test_without_a_broker_a_producer_gets_503_to_send_it_again(environment: FaultEnvironment) -> None:
    path, _ = environment.master()
    with frozen(environment.broker()):
        answer = report(environment, "created", path)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        listed = environment.installation.request("/jobs", "POST", json=[path], headers=BEARER)
        assert listed.status_code == 503
    until(lambda: report(environment, "created", path).status_code == 202, what="a broker")
    until(lambda: environment.installation.stored(path), 60, what="the image")
