"""`mezcal worker` as a container runs it: two Celery workers that are one to its engine, or one that runs alone."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Jobs, JobState, Lane
from mezcal.recipe import Mezzanine
from mezcal.runtime.processes import SILENT_SECONDS
from mezcal.store import open_store
from tests.faults.support.environment import QUICK, frozen
from tests.support.masters import grey_tiff
from tests.support.proc import command_line, descendants, parent_of
from tests.support.roles import Installation, healthy
from tests.support.waiting import until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.broker import Broker
    from tests.support.origin_server import OriginServer


@pytest.fixture
def here(broker: Broker, repository: OriginServer, tmp_path: Path) -> Installation:
    prefix = f"{tmp_path.name}:"
    return Installation(
        tmp_path / "here", **QUICK, REDIS_URL=broker.url, KEY_PREFIX=prefix, REPO_BASE_URL=repository.url
    )


def mains(process: subprocess.Popen[bytes], lanes: str = "") -> list[int]:
    """Returns the main processes of the Celery workers below *process*."""
    found = [pid for pid in descendants(process.pid) if f"--hostname={lanes}" in command_line(pid)]
    return [pid for pid in found if parent_of(pid) not in found]


def request_job(here: Installation, path: str, lane: Lane = Lane.INTERACTIVE) -> Mezzanine:
    recipe = Mezzanine.parse(path)
    Jobs.of(here.settings).ask(recipe, lane)
    return recipe


def made(here: Installation, recipe: Mezzanine) -> None:
    until(lambda: open_store(here.settings).find(recipe), 30, f"{recipe.path}: {here.log()}")


def state(here: Installation, recipe: Mezzanine) -> JobState | None:
    record = Jobs.of(here.settings).read(recipe.key)
    return record.state if record else None


def test_either_worker_that_is_killed_is_started_again(here: Installation, repository: OriginServer) -> None:
    with here.role("worker", "--concurrency", "2") as process:
        for number, lanes in enumerate(("all", "interactive")):
            (killed,) = mains(process, lanes)
            os.kill(killed, signal.SIGKILL)
            repository.script(f"killed-{number}.tif", body=grey_tiff(90))
            made(here, request_job(here, f"killed-{number}.tif"))
            until(lambda lanes=lanes, killed=killed: set(mains(process, lanes)) - {killed}, what=f"another {lanes}")
        repository.script("bulk-after.tif", body=grey_tiff(90))
        made(here, request_job(here, "bulk-after.tif", Lane.BULK))
    assert process.returncode == 0


def test_a_stop_lets_both_workers_finish_what_runs(here: Installation, repository: OriginServer) -> None:
    scripts = [repository.script(f"drained-{number}.tif", body=grey_tiff(90), hold_at=2000) for number in range(2)]
    with here.role("worker", "--concurrency", "2") as process:
        bulk = request_job(here, "drained-0.tif", Lane.BULK)
        until(lambda: state(here, bulk) is JobState.RUNNING, what="the bulk job")
        interactive = request_job(here, "drained-1.tif")
        until(lambda: state(here, interactive) is JobState.RUNNING, what="the interactive job")
        process.send_signal(signal.SIGTERM)
        until(lambda: here.log().count("Warm shutdown") == 2, what="both workers to stop")
        for script in scripts:
            script.go.set()
        assert process.wait(20) == 0
    assert all(open_store(here.settings).find(recipe) for recipe in (bulk, interactive))
    assert Jobs.of(here.settings).workers.statuses() == [], "both have left the list"
    assert "Traceback" not in here.log()


def test_a_stop_takes_no_longer_than_the_time_to_drain(here: Installation, repository: OriginServer) -> None:
    script = repository.script("too-slow.tif", body=grey_tiff(90), hold_at=2000)
    with here.role("worker", "--concurrency", "2", DRAIN_SECONDS="1") as process:
        recipe = request_job(here, "too-slow.tif")
        until(lambda: state(here, recipe) is JobState.RUNNING, what="the job")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, "Celery would wait for the job without end"
    assert state(here, recipe) is JobState.QUEUED, "given back to the queue"
    script.go.set()


def test_no_process_outlives_a_killed_mezcal_worker(here: Installation) -> None:
    with here.role("worker", "--concurrency", "2") as process:
        family = descendants(process.pid)
        assert len(family) == 4
        process.kill()
        until(lambda: not any(map(command_line, family)), what="the end of every process")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_is_unhealthy_while_one_of_the_workers_stands_still(here: Installation) -> None:
    env = here.env | {"ROLE_SIGN": str(here.folder / "worker.role")}
    with here.role("worker", "--concurrency", "2") as process:
        with frozen(*mains(process, "interactive")):
            until(lambda: not healthy(os.environ | env), SILENT_SECONDS + 30, "a report of the frozen worker")
        until(lambda: healthy(os.environ | env), what="both to be healthy again")


def test_the_workers_are_listed_with_their_lanes_and_the_number_of_the_command(here: Installation) -> None:
    with here.role("worker", "--concurrency", "3") as process:
        workers = Jobs.of(here.settings).workers
        until(lambda: len(workers.statuses()) == 2, what="both workers")
        listed = {status.worker.name.partition("@")[0]: status.worker for status in workers.statuses()}
        assert set(listed) == {f"all-{process.pid}", f"interactive-{process.pid}"}
        assert listed[f"all-{process.pid}"].processes == 2
        assert listed[f"interactive-{process.pid}"].processes == 1
        assert listed[f"interactive-{process.pid}"].queues == ("interactive",)


def test_one_of_the_interactive_lane_alone_leaves_bulk_to_others(here: Installation, repository: OriginServer) -> None:
    for name in ("bulk.tif", "interactive.tif"):
        repository.script(name, body=grey_tiff(90))
    with here.role("worker", "--lanes", "interactive", "--concurrency", "2") as process:
        bulk = request_job(here, "bulk.tif", Lane.BULK)
        made(here, request_job(here, "interactive.tif"))
        assert state(here, bulk) is JobState.QUEUED
        assert "--queues=interactive " in command_line(process.pid), "it became the one worker"
    with here.role("worker", "--lanes", "all", "--concurrency", "1"):
        made(here, bulk)


def test_of_one_process_there_is_one_worker_for_all_lanes(here: Installation, repository: OriginServer) -> None:
    repository.script("alone.tif", body=grey_tiff(90))
    with here.role("worker", "--concurrency", "1") as process:
        made(here, request_job(here, "alone.tif", Lane.BULK))
        assert re.search("--queues=interactive,chores,bulk ", command_line(process.pid))
