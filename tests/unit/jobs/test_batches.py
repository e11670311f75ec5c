"""Batches: each item is counted once and in one place, whatever happens to its job, its chunk or its worker."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mezcal.errors import MasterMissing
from mezcal.jobs import Batch, Jobs, Lane
from mezcal.jobs.bulk import batches
from mezcal.jobs.bulk.batches import Note
from mezcal.jobs.state.records import QueueRequest
from mezcal.recipe import Mezzanine
from mezcal.settings import load

if TYPE_CHECKING:
    from tests.support.broker import Broker

RECIPES = [Mezzanine.parse(f"dc/{number}.tif") for number in range(5)]


def fresh(broker: Broker) -> Jobs:
    return Jobs.of(load(_env_file=None, redis_url=broker.url, key_prefix=f"{uuid4().hex}:", repo_base_url="http://r/"))


def posted(jobs: Jobs, recipes: list[Mezzanine] = RECIPES) -> str:
    return jobs.batches.post([("wanted", "recipe", one.as_json()) for one in recipes]).name


def spread(jobs: Jobs, name: str, recipes: list[Mezzanine] = RECIPES, **flags: bool) -> None:
    jobs.table.queue(
        [QueueRequest(recipe, place=place, **flags) for place, recipe in enumerate(recipes)], Lane.BULK, name
    )


def ended(jobs: Jobs, recipe: Mezzanine, how: str = "done") -> None:
    claim = jobs.table.begin(recipe.key, "worker")
    assert claim
    assert jobs.table.finish(claim) if how == "done" else jobs.table.fail(claim, MasterMissing("gone"))


def counts(jobs: Jobs, name: str) -> dict[str, int]:
    batch = read_batch(jobs, name)
    return {what: count for what, count in batch.counts.items() if count}


def read_batch(jobs: Jobs, name: str) -> Batch:
    batch = jobs.batches.read(name)
    assert batch
    assert sum(batch.counts.values()) == batch.items
    return batch


def test_a_batch_from_its_list_to_its_end(jobs: Jobs) -> None:
    name = posted(jobs)
    assert counts(jobs, name) == {"waiting": 5}
    spread(jobs, name)
    assert counts(jobs, name) == {"queued": 5}
    ended(jobs, RECIPES[0])
    ended(jobs, RECIPES[1], "failed")
    jobs.table.begin(RECIPES[2].key, "worker")
    jobs.forget(RECIPES[3])
    assert counts(jobs, name) == {"done": 1, "failed": 1, "running": 1, "forgotten": 1, "queued": 1}
    batch = read_batch(jobs, name)
    assert [record.key for record in batch.failures] == [RECIPES[1].key]
    assert not batch.done
    jobs.forget(RECIPES[2])
    ended(jobs, RECIPES[4])
    assert read_batch(jobs, name).done


def test_a_chunk_that_is_taken_twice_counts_and_does_nothing_twice(jobs: Jobs) -> None:
    name = posted(jobs)
    spread(jobs, name, master_changed=True, remake=True)
    for recipe in RECIPES:
        ended(jobs, recipe)
    spread(jobs, name, master_changed=True, remake=True)
    assert counts(jobs, name) == {"done": 5}
    assert jobs.table.depths()["bulk"] == 0
    assert jobs.batches.open_places(name, 0, 5) == [False] * 5


def test_one_job_ends_for_all_batches_that_wait_for_it(jobs: Jobs) -> None:
    first, second = posted(jobs), posted(jobs)
    spread(jobs, first)
    spread(jobs, second, master_changed=True, remake=True)
    ended(jobs, RECIPES[0])
    assert counts(jobs, first) == counts(jobs, second) == {"done": 1, "queued": 4}


def test_a_change_while_a_job_runs_does_not_end_it_for_its_batches(jobs: Jobs) -> None:
    name = posted(jobs)
    spread(jobs, name)
    claim = jobs.table.begin(RECIPES[0].key, "worker")
    assert claim
    jobs.changed(RECIPES[0])
    assert not jobs.table.finish(claim)
    assert counts(jobs, name) == {"queued": 5}
    ended(jobs, RECIPES[0])
    assert counts(jobs, name) == {"done": 1, "queued": 4}


def test_a_created_event_after_a_changed_one_still_remakes_the_derivative(jobs: Jobs) -> None:
    """A change fails, then `created` arrives: the stored derivative is still that of the old master."""
    jobs.changed(RECIPES[0])
    ended(jobs, RECIPES[0], "failed")
    jobs.table.queue([QueueRequest(RECIPES[0], master_changed=True)], Lane.BULK)
    claim = jobs.table.begin(RECIPES[0].key, "worker")
    assert claim
    assert claim.remake


def test_what_is_listed_twice_is_made_once(jobs: Jobs) -> None:
    name = posted(jobs, [*RECIPES, RECIPES[0]])
    spread(jobs, name, [*RECIPES, RECIPES[0]])
    for recipe in RECIPES:
        ended(jobs, recipe)
    assert counts(jobs, name) == {"done": 5, "repeated": 1}


def test_a_remembered_failure_counts_as_failed_in_the_batch(jobs: Jobs) -> None:
    spread(jobs, posted(jobs, RECIPES[:1]), RECIPES[:1])
    ended(jobs, RECIPES[0], "failed")
    name = posted(jobs)
    spread(jobs, name)
    assert counts(jobs, name) == {"failed": 1, "queued": 4}


def test_items_without_a_job_are_settled_once(jobs: Jobs) -> None:
    name = posted(jobs)
    notes = [Note(0, "ignored", "x" * 1000, "not ours"), Note(1, "deleted"), Note(2, "done", ended=2, derivatives=3)]
    jobs.batches.note(name, notes)
    jobs.table.queue([QueueRequest(RECIPES[2])], Lane.BULK, name)
    jobs.batches.note(name, notes)
    assert counts(jobs, name) == {"waiting": 2, "ignored": 1, "deleted": 1, "done": 2, "queued": 1}
    assert len(read_batch(jobs, name).notes) == 1


def test_a_full_lane_leaves_an_item_to_the_next_run(jobs: Jobs) -> None:
    jobs.table.policy = type(jobs.table.policy)(queue_max=2)
    name = posted(jobs)
    spread(jobs, name)
    assert counts(jobs, name) == {"queued": 2, "waiting": 3}
    ended(jobs, RECIPES[0])
    spread(jobs, name)
    assert counts(jobs, name) == {"done": 1, "queued": 2, "waiting": 2}


def test_a_delivery_opens_one_batch(jobs: Jobs) -> None:
    items = [("wanted", "path", "a.tif")]
    first = jobs.batches.post(items, "id")
    again = jobs.batches.post(items, "id")
    assert (again.name, again.again, again.chunks) == (first.name, True, [])
    assert len(jobs.chunks.names()) == 1
    assert not jobs.batches.post(items, "another").again
    assert not jobs.batches.post(items).again


def test_a_batch_that_has_expired_does_not_disturb_its_jobs(jobs: Jobs) -> None:
    name = posted(jobs)
    spread(jobs, name)
    redis, key = jobs.table.redis, jobs.table.keys.batch(name)
    assert all(redis.ttl(one) > 0 for one in redis.keys(f"{key}*"))
    redis.delete(key)
    for recipe in RECIPES:
        ended(jobs, recipe)
    assert jobs.batches.read(name) is None
    assert all(redis.ttl(one) > 0 for one in redis.keys(f"{key}*"))


class Course:
    """Three masters in two batches, and whatever can happen to a job."""

    def __init__(self, broker: Broker) -> None:
        self.jobs, self.recipes = fresh(broker), RECIPES[:3]
        self.table = self.jobs.table
        self.names = [posted(self.jobs, self.recipes), posted(self.jobs, self.recipes)]
        self.claims: dict[int, Any] = {}

    def spread(self, which: int, batch: int) -> None:
        self.table.queue([QueueRequest(self.recipes[which], place=which)], Lane.BULK, self.names[batch])

    def renew(self, which: int, batch: int) -> None:
        order = QueueRequest(self.recipes[which], master_changed=True, remake=True, place=which)
        self.table.queue([order], Lane.BULK, self.names[batch])

    def begin(self, which: int, _: int) -> None:
        claim = self.table.begin(self.recipes[which].key, "worker", f"task {which}")
        self.claims[which] = claim or self.claims.get(which)

    def end(self, which: int, how: int) -> None:
        claim = self.claims.get(which)
        if claim:
            self.table.fail(claim, MasterMissing("gone")) if how else self.table.finish(claim)

    def delay(self, which: int, _: int) -> None:
        if self.claims.get(which):
            self.table.delay_after(self.claims[which], MasterMissing("gone"), 60)

    def forget(self, which: int, _: int) -> None:
        self.table.forget(self.recipes[which].key)

    def change(self, which: int, _: int) -> None:
        self.table.change(self.recipes[which], Lane.BULK)

    def retry(self, which: int, _: int) -> None:
        self.table.retry(self.recipes[which].key)

    def ask(self, which: int, _: int) -> None:
        self.table.ensure(self.recipes[which], Lane.INTERACTIVE)

    def die(self, which: int, _: int) -> None:
        self.table.process_died(f"task {which}")


WHAT = ("spread", "renew", "begin", "end", "delay", "forget", "change", "retry", "ask", "die")
STEPS = st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 2), st.integers(0, 1)), max_size=40)


@settings(max_examples=60)
@given(steps=STEPS)
def test_the_counts_add_up_and_every_batch_ends_for_any_sequence_of_events(broker: Broker, steps: list[Any]) -> None:
    course = Course(broker)
    jobs = course.jobs
    for what, which, other in steps:
        getattr(course, what)(which, other)
        for name in course.names:
            read_batch(jobs, name)
    for name in course.names:
        spread(jobs, name, course.recipes)
    for recipe in course.recipes:
        jobs.table.retry(recipe.key)
        if claim := jobs.table.begin(recipe.key, "last"):
            jobs.table.finish(claim)
        jobs.table.forget(recipe.key)
    assert all(read_batch(jobs, name).done for name in course.names)


@pytest.mark.parametrize(("quarters", "again"), [(1, True), (4, True), (5, False)])
def test_a_delivery_is_remembered_for_at_least_a_day(jobs: Jobs, quarters: int, again: bool) -> None:
    """Its hash is as if it had come so many quarters of a day ago."""
    redis, items = jobs.table.redis, [("wanted", "path", "a.tif")]
    first = jobs.batches.post(items, "id")
    [now] = redis.keys(f"{jobs.table.keys.deliveries('')}*")
    assert 86_400 < redis.ttl(now) <= 86_400 * 5 // 4
    quarter, bucket = now.removeprefix(jobs.table.keys.deliveries("")).split(":")
    redis.rename(now, jobs.table.keys.deliveries(f"{int(quarter) - quarters}:{bucket}"))
    second = jobs.batches.post(items, "id")
    assert (second.again, second.name == first.name) == (again, again)


def test_a_million_deliveries_a_day_leave_less_than_a_hundred_bytes_each(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BUCKETS", 8)  # as full as the buckets of a million deliveries
    count = 250 * batches.BUCKETS
    for number in range(count):
        jobs.batches._open(f"batch-{number:024}", [], 1, sha256(str(number).encode()).hexdigest())
    redis = jobs.table.redis
    kept = redis.keys(f"{jobs.table.keys.deliveries('')}*")
    assert len(kept) == batches.BUCKETS
    assert sum(redis.memory_usage(key, samples=0) for key in kept) / count < 100


@pytest.mark.parametrize(("items", "seconds"), [(1, 3600), (5, 3600), (11, 7 * 86_400)])
def test_a_small_batch_is_kept_for_an_hour_after_its_end(jobs: Jobs, items: int, seconds: int) -> None:
    name = jobs.batches.post([("wanted", "path", "a.tif")] * items).name
    redis, key = jobs.table.redis, jobs.table.keys.batch(name)
    ignored = [Note(place, "ignored", "a.tif", "not a master") for place in range(items)]
    jobs.batches.note(name, ignored[:-1])
    assert redis.ttl(key) > 86_400, "it has not ended"
    jobs.batches.note(name, ignored[-1:])
    assert counts(jobs, name) == {"ignored": items}
    assert {redis.ttl(one) for one in redis.keys(f"{key}*")} <= {seconds - 1, seconds}
