"""What `mezcal warm` and `mezcal failures` say of jobs that wait for their next attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal import cli
from mezcal.commands.terminal.interrupts import Interrupts
from mezcal.commands.terminal.next_steps import print_if_short_lived
from mezcal.commands.terminal.progress_bar import progress_bar
from mezcal.commands.warm_run import StoredVersions, WarmCounts, WarmRun
from mezcal.errors import MasterDenied, OriginFailed, StoreDown, Undecodable
from mezcal.jobs import Jobs, Lane
from mezcal.jobs.bulk.follow_up import BulkFollowUp
from mezcal.jobs.state.records import QueueRequest
from mezcal.recipe import Mezzanine
from mezcal.settings import Layout, load
from mezcal.store import LocalStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.broker import Broker

REASON = "the cache folder cannot be used (Permission denied)"
RECIPE = Mezzanine("a.tif")


@pytest.fixture
def jobs(broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Jobs:
    """The jobs of the installation that the settings describe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", broker.url)
    monkeypatch.setenv("KEY_PREFIX", f"{uuid4().hex}:")
    monkeypatch.setenv("REPO_BASE_URL", "https://repository.example/rest/")
    return Jobs.of(load())


def fail_for_a_time(jobs: Jobs) -> None:
    """Make an attempt at RECIPE, as a worker whose store cannot be written does."""
    claim = jobs.table.begin(RECIPE.key, "worker")
    assert claim is not None
    jobs.table.delay_after(claim, StoreDown(REASON), 30)


def test_warm_says_why_a_job_waits_and_shows_no_time_that_is_left(
    jobs: Jobs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LocalStore(tmp_path / "cache", Layout.BASIC)
    follow_up = BulkFollowUp(jobs, store)
    with progress_bar("warm", line_seconds=0) as bar:
        run = WarmRun(StoredVersions(store, {}), follow_up, WarmCounts(queued=1), Interrupts(), bar, wait=True)
        follow_up.hand_over([RECIPE])
        [name] = jobs.chunks.due()[:1]
        chunk = jobs.chunks.take(name)
        assert chunk is not None
        jobs.table.queue([QueueRequest(RECIPE, place=chunk.first)], Lane.BULK, chunk.batch)
        jobs.chunks.done(name)
        fail_for_a_time(jobs)
        run._count_ended()
        run._count_ended()
        run._show()
    out, err = capsys.readouterr()
    assert out == f"delayed  {RECIPE.key}  a.tif  store-down: {REASON}\n", "once"
    assert ", 1 waits for its next attempt]" in err
    assert " left" not in err


def test_failures_lists_what_waits_for_its_next_attempt(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    jobs.table.queue([QueueRequest(RECIPE)], Lane.BULK)
    fail_for_a_time(jobs)
    assert cli.main(["failures", "--exit-code"]) == 0, "it has not failed yet"
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first == "no failed jobs"
    assert second.startswith(f"{RECIPE.key}  delayed ")
    assert second.endswith(f"  a.tif  store-down: {REASON}")
    assert err.startswith("store-down: mezcal check")


def test_a_failure_that_is_soon_forgotten_is_announced(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAILURE_BRIEF_SECONDS", "60")
    jobs = Jobs.of(load())
    for failure in (Undecodable("damaged"), OriginFailed("503"), MasterDenied("401")):
        print_if_short_lived(failure, jobs.listed_seconds(failure))
    assert capsys.readouterr().err == "master-denied: `mezcal failures` lists it for 60 s only\n"
