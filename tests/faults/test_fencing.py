"""Deletions and changes while a job runs: the image that is served in the end is never older than they are."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from tests.faults.support.environment import BEARER, stored_shade, wait_for_image
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.faults.support.environment import FaultEnvironment

ROUNDS = 20
OLD, NEW = 40, 220


@pytest.mark.parametrize("event", ["delete", "change"])
def test_twenty_times_the_newer_master_wins(environment: FaultEnvironment, event: str) -> None:
    """The old download continues at the moment of the event: sometimes its worker has published already,
    sometimes it is about to, sometimes it still reads.
    """
    jobs = environment.jobs()
    chance = random.Random(7)
    for _ in range(ROUNDS):
        path, script = environment.slow_master(etag="")
        script.body = grey_tiff(OLD)
        asked = environment.request_in_background(path)
        environment.repository.wait_for_requests(path, 1)
        script.go.set()
        spin(chance.uniform(0, 0.03))
        script.body = grey_tiff(NEW)  # the repository has it first, then it says so
        if event == "delete":
            assert environment.installation.ask(path, "DELETE", headers=BEARER).status_code == 204
        else:
            jobs.changed(Mezzanine.parse(path))
        assert asked.result().status_code in {200, 503}
        wait_for_image(environment.installation, path)
        until(
            lambda path=path: abs((stored_shade(environment.installation, path) or 0) - NEW) < 3, what="the new picture"
        )
        assert environment.repository.count(path) <= 3
    environment.assert_clean()
    for path in {seen.path for seen in environment.repository.seen()[-5:]}:
        assert abs((stored_shade(environment.installation, path) or NEW) - NEW) < 3, "and it stays"


def spin(seconds: float) -> None:
    """Compute for a moment that is too short to wait for."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


def test_a_changed_master_is_converted_again_and_the_old_image_served_until_then(environment: FaultEnvironment) -> None:
    path, script = environment.master(grey_tiff(OLD), etag="")
    old = environment.installation.ask(path).content
    script.body, script.hold_at = grey_tiff(NEW), 2000
    environment.jobs().changed(Mezzanine.parse(path))
    environment.wait_for_attempt(path, after=0)
    environment.repository.wait_for_requests(path, 2)
    assert environment.installation.ask(path).content == old
    script.go.set()
    until(lambda: environment.installation.ask(path).content != old, what="the new picture")
    assert abs((stored_shade(environment.installation, path) or 0) - NEW) < 3
    assert environment.repository.count(path) == 2


def test_work_for_a_deleted_job_ends_early(environment: FaultEnvironment) -> None:
    """A forgotten job does not read its master to the end."""
    path, _ = environment.master(grey_tiff(OLD, edge=2048), rate=100_000)
    asked = environment.request_in_background(path, headers={"Prefer": "respond-async"})
    environment.wait_for_attempt(path)
    environment.installation.ask(path, "DELETE", headers=BEARER)
    assert asked.result().status_code == 202
    began = time.monotonic()
    until(
        lambda: "superseded" in environment.installation.journal.read_text().rpartition(path)[2],
        what="the end of the work",
    )
    assert time.monotonic() - began < 20, "the whole of it takes forty seconds"
    assert environment.installation.stored(path) is None
    environment.assert_clean()


def test_hundreds_of_requests_for_a_broken_master_cost_one_download(environment: FaultEnvironment) -> None:
    path, _ = environment.master(b"no image at all")
    answers = [environment.request_in_background(path) for _ in range(64)]
    assert {asked.result().status_code for asked in answers} == {415}
    for _ in range(236):
        assert environment.installation.ask(path).status_code == 415
    assert [seen.method for seen in environment.repository.seen(path)].count("GET") == 1
    environment.repository.script(path, body=grey_tiff(NEW))
    environment.jobs().changed(Mezzanine.parse(path), Lane.INTERACTIVE)
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=3)  # with one HEAD
