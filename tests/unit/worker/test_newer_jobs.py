"""Jobs of a newer version: its recipes are not known here, or would be read as others."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any, cast

import fakeredis
import pytest

from mezcal.checks import Severity
from mezcal.checks.broker import former_queue_check
from mezcal.jobs import JobState, Lane, Message
from mezcal.jobs.former_queue import FormerQueue
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import Mezzanine, key_of
from worker import tasks
from worker.newer_jobs import left_to_newer

PAGE = Mezzanine.parse("book.tif")
NEWER = {"kind": "hologram", "path": "book.tif"}


@pytest.fixture
def table() -> JobTable:
    redis: Any = fakeredis.FakeRedis(decode_responses=True)
    return JobTable(redis, Keys("x:"), JobPolicy())


@pytest.mark.parametrize("recipe", [NEWER, {"kind": "thumbnail"}, Mezzanine.parse("other.tif").as_json()])
def test_a_job_whose_recipe_is_not_known_is_given_back_without_counting_the_attempt(
    table: JobTable, recipe: dict[str, Any]
) -> None:
    table.ensure(PAGE, Lane.INTERACTIVE)
    table.redis.hset(table.keys.job(PAGE.key), "recipe", json.dumps(recipe))
    claim = table.begin(PAGE.key, "w")
    assert claim is not None
    assert left_to_newer(claim, table)
    job = table.read(PAGE.key)
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DELAYED, 0)


@pytest.mark.parametrize(("age", "seconds"), [(1, 2), (300, 30), (90_000, 60)])
def test_old_jobs_of_a_version_that_was_taken_back_come_again_rarely(
    table: JobTable, age: float, seconds: float
) -> None:
    table.ensure(PAGE, Lane.BULK)
    asked = int((time.time() - age) * 1000)
    table.redis.hset(table.keys.job(PAGE.key), mapping={"recipe": json.dumps(NEWER), "asked": asked})
    claim = table.begin(PAGE.key, "w")
    assert claim is not None
    before = time.time()
    assert left_to_newer(claim, table)
    [(_, due)] = table.redis.zrange(table.keys.delayed, 0, -1, withscores=True)
    assert before + seconds - 1 < due / 1000 < time.time() + seconds + 10  # it grows while a busy machine stands still


def test_a_message_of_an_unknown_recipe_has_its_job_given_back(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left in the queue, it would be sent again at each sweep."""
    wanted = SimpleNamespace(key=key_of(NEWER), masters_key="", kind="hologram", as_json=lambda: NEWER)
    table.ensure(cast("Any", wanted), Lane.BULK)
    monkeypatch.setattr(tasks, "context", lambda: SimpleNamespace(jobs=SimpleNamespace(table=table), name="w"))
    monkeypatch.setattr(tasks, "serves_bulk", lambda: True)
    tasks.make.push_request(id="a message")
    try:
        assert tasks.make.run(NEWER) == "nothing to do"
    finally:
        tasks.make.pop_request()
    job = table.read(wanted.key)
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DELAYED, 0)


def test_a_known_job_is_kept(table: JobTable) -> None:
    table.ensure(PAGE, Lane.INTERACTIVE)
    claim = table.begin(PAGE.key, "w")
    assert claim is not None
    assert not left_to_newer(claim, table)
    assert table.renew(claim)


def test_the_message_of_an_unknown_recipe_has_a_label() -> None:
    assert "hologram" in Message(Lane.BULK, NEWER).label


def test_the_jobs_of_a_queue_without_the_mark_of_its_origin_are_counted(table: JobTable) -> None:
    former = FormerQueue(table.redis, "x:")
    assert former.unfinished() == 0
    assert former_queue_check(former).run().level is Severity.OK
    table.ensure(PAGE, Lane.BULK)
    table.ensure(Mezzanine.parse("other.tif"), Lane.INTERACTIVE)
    assert former.unfinished() == 2
    finding = former_queue_check(former).run()
    assert (finding.level, finding.detail) == (Severity.WARNING, "2 jobs of a former version are not made yet")
    assert FormerQueue(table.redis, "x:0a1b2c3d:").unfinished() == 0
