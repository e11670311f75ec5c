"""Events that fall into a running conversion, a dying worker, an absent broker: the last word is the repository's."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.faults.support.scene import BEARER, served, standing_still, stored_shade, tiff
from tests.faults.test_fencing import spin
from tests.support.signed import event, signed
from tests.support.waiting import until

if TYPE_CHECKING:
    import requests

    from tests.faults.support.scene import Scene

OLD, NEW = 40, 220
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """Events are heard."""
    return {"WEBHOOK_SECRETS": SECRET}


def report(scene: Scene, kind: str, *paths: str) -> requests.Response:
    body = event(kind, *paths)
    return scene.installation.request("/webhooks/standard", "POST", data=body, headers=signed(body, SECRET))


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_change_in_a_running_conversion_has_the_new_version_served_in_the_end(scene: Scene, rounds: int) -> None:
    """The old download is let go around the moment of the event: it has been published already, or is about to be,
    or is still read. Old and new pictures are told apart by their grey.
    """
    chance = random.Random(11)
    paths = []
    for _ in range(rounds):
        path, script = scene.held(etag="")
        script.body = tiff(OLD)
        asked = scene.asked(path)
        scene.repository.wait_for_requests(path, 1)
        early = chance.random() < 0.5
        if early:
            script.go.set()
            spin(chance.uniform(0, 0.03))
        script.body = tiff(NEW)  # the repository has it first, then it says so
        answer = report(scene, "updated", path)
        assert answer.status_code == 202
        spin(chance.uniform(0, 0.03))
        script.go.set()
        until(lambda place=answer.headers["Location"]: over(scene, place), 30, "the end of the event")
        assert asked.result().status_code in {200, 503}
        served(scene.installation, path)
        assert abs((stored_shade(scene.installation, path) or 0) - NEW) < 3
        paths.append(path)
    scene.tidy()
    assert all(abs((stored_shade(scene.installation, path) or 0) - NEW) < 3 for path in paths), "and it stays"


def over(scene: Scene, place: str) -> bool:
    return bool(scene.installation.request(place).json()["state"] == "done")


def test_events_survive_the_death_of_whoever_takes_them_up(scene: Scene) -> None:
    """Workers are killed while they spread and make; each item is counted once in the end."""
    masters = []
    for _ in range(30):
        path, _ = scene.master()
        masters.append(path)
    with standing_still(*scene.pool(), *scene.workers()):
        answer = report(scene, "created", *masters)
        assert answer.status_code == 202
        for pid in scene.pool():
            scene.kill(pid)
    for worker in scene.workers():
        scene.kill(worker)
    place = answer.headers["Location"]
    until(lambda: over(scene, place), 100, "the end of the batch")
    batch = scene.installation.request(place).json()
    assert (batch["counts"]["done"], batch["items"]) == (30, 30)
    assert all(scene.installation.stored(path) for path in masters)


def test_without_a_broker_a_producer_is_told_to_send_it_again(scene: Scene) -> None:
    path, _ = scene.master()
    with standing_still(scene.broker()):
        answer = report(scene, "created", path)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        listed = scene.installation.request("/jobs", "POST", json=[path], headers=BEARER)
        assert listed.status_code == 503
    until(lambda: report(scene, "created", path).status_code == 202, what="a broker")
    until(lambda: scene.installation.stored(path), 60, what="the image")
