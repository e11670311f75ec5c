"""Deletions and changes that fall into a running job: what is served in the end is never older than they are."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Lane
from mezcal.recipe import Mezzanine
from tests.faults.support.scene import BEARER, served, stored_shade, tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.faults.support.scene import Scene

ROUNDS = 50
OLD, NEW = 40, 220


@pytest.mark.parametrize("event", ["delete", "change"])
def test_fifty_times_the_newer_master_wins(scene: Scene, event: str) -> None:
    """The old download is let go in the very moment of the event: sometimes the late one has published already,
    sometimes it is about to, sometimes it still reads.
    """
    jobs = scene.jobs()
    chance = random.Random(7)
    for _ in range(ROUNDS):
        path, script = scene.held(etag="")
        script.body = tiff(OLD)
        asked = scene.asked(path)
        scene.repository.wait_for_requests(path, 1)
        script.go.set()
        spin(chance.uniform(0, 0.03))
        script.body = tiff(NEW)  # the repository has it first, then it says so
        if event == "delete":
            assert scene.installation.ask(path, "DELETE", headers=BEARER).status_code == 204
        else:
            jobs.changed(Mezzanine.parse(path))
        assert asked.result().status_code in {200, 503}
        served(scene.installation, path)
        until(lambda path=path: abs((stored_shade(scene.installation, path) or 0) - NEW) < 3, what="the new picture")
        assert scene.repository.count(path) <= 3
    scene.tidy()
    for path in {seen.path for seen in scene.repository.seen()[-5:]}:
        assert abs((stored_shade(scene.installation, path) or NEW) - NEW) < 3, "and it stays"


def spin(seconds: float) -> None:
    """A moment too short to wait for anything."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


def test_a_changed_master_is_made_anew_and_the_old_one_served_until_then(scene: Scene) -> None:
    path, script = scene.master(tiff(OLD), etag="")
    old = scene.installation.ask(path).content
    script.body, script.hold_at = tiff(NEW), 2000
    scene.jobs().changed(Mezzanine.parse(path))
    scene.running(path, after=0)
    scene.repository.wait_for_requests(path, 2)
    assert scene.installation.ask(path).content == old
    script.go.set()
    until(lambda: scene.installation.ask(path).content != old, what="the new picture")
    assert abs((stored_shade(scene.installation, path) or 0) - NEW) < 3
    assert scene.repository.count(path) == 2


def test_work_that_is_in_vain_ends_early(scene: Scene) -> None:
    """A forgotten job does not read its master to the end."""
    path, _ = scene.master(tiff(OLD, edge=2048), rate=400_000)
    asked = scene.asked(path, headers={"Prefer": "respond-async"})
    scene.running(path)
    scene.installation.ask(path, "DELETE", headers=BEARER)
    assert asked.result().status_code == 202
    began = time.monotonic()
    until(
        lambda: "superseded" in scene.installation.journal.read_text().rpartition(path)[2], what="the end of the work"
    )
    assert time.monotonic() - began < 4, "the whole of it takes ten seconds"
    assert scene.installation.stored(path) is None
    scene.tidy()


def test_a_thousand_askers_of_a_broken_master_cost_one_download(scene: Scene) -> None:
    path, _ = scene.master(b"no image at all")
    answers = [scene.asked(path) for _ in range(64)]
    assert {asked.result().status_code for asked in answers} == {415}
    for _ in range(936):
        assert scene.installation.ask(path).status_code == 415
    assert scene.repository.count(path) == 1
    scene.repository.script(path, body=tiff(NEW))
    scene.jobs().changed(Mezzanine.parse(path), Lane.INTERACTIVE)
    scene.well(path, served(scene.installation, path), most=2)
