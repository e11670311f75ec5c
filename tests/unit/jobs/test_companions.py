"""Jobs that are made from the same masters share one download, on a real broker and on fakeredis."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fakeredis
import pytest

from mezcal.errors import TimedOut, Undecodable
from mezcal.jobs import JobState, Lane, Worker, WorkerRegistry
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.leases import Lease
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.records import Message
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import PYRAMID, Frame, Mezzanine, Thumbnail, ThumbnailOptions
from tests.support.waiting import until

if TYPE_CHECKING:
    from mezcal.jobs import Claim
    from tests.support.broker import Broker

POLICY = JobPolicy(
    lease=60, max_attempts=3, origins={"mezzanine": "repository.example", "thumbnail": "archive.example"}
)
PAGES = [Mezzanine.parse("book.tif", page) for page in range(1, 6)]
OTHER = Mezzanine.parse("other.tif")


@pytest.fixture(params=["real", "fake"])
def table(request: pytest.FixtureRequest) -> JobTable:
    redis: Any = fakeredis.FakeRedis(decode_responses=True)
    if request.param == "real":
        broker: Broker = request.getfixturevalue("broker")
        redis = broker.client()
    return JobTable(redis, Keys(f"{uuid4().hex}:"), POLICY)


def with_policy(table: JobTable, **changes: Any) -> JobTable:
    return JobTable(table.redis, table.keys, replace(POLICY, **changes))


def queue(table: JobTable, *recipes: Mezzanine | Thumbnail, lane: Lane = Lane.BULK, client: str = "") -> None:
    for recipe in recipes:
        table.ensure(recipe, lane, client=client)


def begun(table: JobTable, recipe: Mezzanine | Thumbnail, message: str = "m") -> Claim:
    claim = table.begin(recipe.key, "w", message)
    assert claim is not None
    return claim


def next_of(table: JobTable, last: Claim, *, bulk: bool = True, arrival: float = 0) -> Claim | None:
    return table.begin_companion(last, "w", "m", bulk=bulk, arrival=arrival)


def chain(table: JobTable, last: Claim) -> list[str]:
    """End *last* and its companions one after the other. Returns the keys of the companions."""
    keys = []
    table.finish(last)
    while companion := next_of(table, last):
        keys.append(companion.key)
        table.finish(companion)
    return keys


def age(table: JobTable, claim: Claim, seconds: float) -> None:
    """Have the masters of *claim* been opened so many seconds ago."""
    reading = table.keys.reading(claim.source)
    table.redis.hincrby(reading, "since", -int(seconds * 1000))
    table.redis.hincrby(reading, f"chain:{claim.chain}", -int(seconds * 1000))


def report(table: JobTable, claim: Claim, arrived: float | None) -> None:
    table.redis.set(table.keys.progress(claim.key), json.dumps({"bytes": 1, "arrived": arrived}))


def test_recipes_of_one_master_have_one_source_whatever_their_page_and_profile() -> None:
    assert len({page.masters_key for page in [*PAGES, PAGES[0].in_profile(PYRAMID)]}) == 1
    assert PAGES[0].masters_key != OTHER.masters_key


def test_thumbnails_of_the_same_versions_of_frames_have_one_source() -> None:
    def thumbnail(width: str, version: str) -> Thumbnail:
        return Thumbnail((Frame(17, "a.fits", version),), ThumbnailOptions.parse({"width": width}))

    assert thumbnail("200", "v1").masters_key == thumbnail("400", "v1").masters_key
    assert thumbnail("200", "v1").masters_key != thumbnail("200", "v2").masters_key


def test_a_cutout_shares_no_download_with_thumbnails_because_it_fetches_parts() -> None:
    frames = (Frame(17, "a.fits", "v1"),)
    cutout = ThumbnailOptions.parse({"x": "10", "y": "10", "size": "5px"})
    assert cutout.cutout is not None
    assert Thumbnail(frames, cutout).masters_key != Thumbnail(frames, ThumbnailOptions.parse({})).masters_key


def test_a_job_of_a_frame_knows_how_long_ago_it_changed(table: JobTable) -> None:
    """Files that were downloaded before are not used: for a retry, they may have been damaged on their way."""
    one, other = (Thumbnail((Frame(17, "a.fits", "v1"),), ThumbnailOptions.parse({"width": width})) for width in "12")
    queue(table, one)
    claim = begun(table, one)
    assert claim.masters_age is None
    table.fail(claim, Undecodable("damaged"))
    table.retry(one.key)
    retried = begun(table, one)
    age = retried.masters_age
    assert age is not None
    assert 0 <= age < 60
    table.finish(retried)
    for change in (lambda: table.change(one, Lane.BULK), lambda: table.forget(one.key, claim.source, one.kind)):
        table.redis.delete(table.keys.reading(claim.source))
        change()
        queue(table, other)
        assert begun(table, other).masters_age is not None
        assert table.redis.ttl(table.keys.reading(claim.source)) > 300
        table.forget(other.key)


def test_after_the_clock_stepped_back_no_file_of_before_a_change_is_used(table: JobTable) -> None:
    recipe = Thumbnail((Frame(17, "a.fits", "v1"),), ThumbnailOptions.parse({}))
    table.change(recipe, Lane.BULK)
    table.redis.hincrby(table.keys.reading(recipe.masters_key), "changed", 3_600_000)
    assert begun(table, recipe).masters_age == 0


def test_a_retry_is_made_from_no_frame_that_is_open_already(table: JobTable) -> None:
    failed, other = (
        Thumbnail((Frame(17, "a.fits", "v1"),), ThumbnailOptions.parse({"width": width})) for width in "12"
    )
    queue(table, failed, other)
    first = begun(table, failed)
    table.fail(first, Undecodable("damaged"))
    second = next_of(table, first)
    assert second is not None
    table.retry(failed.key)
    assert next_of(table, second) is None
    table.let_go(second)
    assert begun(table, failed).masters_age is not None


def test_bulk_jobs_of_one_master_are_begun_by_the_process_that_has_it_open(table: JobTable) -> None:
    queue(table, *PAGES, OTHER)
    first = begun(table, PAGES[0])
    assert [table.begin(page.key, "another") for page in PAGES[1:]] == [None] * 4
    assert begun(table, OTHER), "other masters are nobody's concern"
    assert sorted(chain(table, first)) == sorted(page.key for page in PAGES[1:])
    assert table.let_go(first) == []


def test_nothing_stays_in_redis_after_the_jobs(table: JobTable) -> None:
    queue(table, *PAGES)
    first = begun(table, PAGES[0])
    chain(table, first)
    table.let_go(first)
    for name in (table.keys.reading(""), table.keys.source("")):
        assert table.redis.keys(f"{name}*") == []


def test_every_key_expires(table: JobTable) -> None:
    queue(table, *PAGES)
    claim = begun(table, PAGES[0])
    assert table.redis.ttl(table.keys.reading(claim.source)) > 0
    assert table.redis.ttl(table.keys.source(claim.source)) > 0


def test_masters_of_a_folder_are_not_downloaded_so_no_job_is_held_back(table: JobTable) -> None:
    folder = with_policy(table, origins={})
    queue(folder, *PAGES)
    claims = [begun(folder, page) for page in PAGES]
    assert {claim.source for claim in claims} == {""}


def test_a_companion_is_a_job_of_its_own(table: JobTable) -> None:
    queue(table, *PAGES[:3])
    first = begun(table, PAGES[0])
    table.finish(first)
    second = next_of(table, first)
    assert second is not None
    assert (second.is_companion, first.is_companion) == (True, False)
    assert (second.attempt, second.lane) == (1, Lane.BULK)
    table.fail(second, Undecodable("this page is damaged"))
    third = next_of(table, second)
    assert third is not None
    table.finish(third)
    states = table.states([claim.key for claim in (first, second, third)])
    assert states == [JobState.DONE, JobState.FAILED, JobState.DONE]


def test_while_the_next_job_is_chosen_none_begins_elsewhere(table: JobTable) -> None:
    queue(table, *PAGES[:2])
    first = begun(table, PAGES[0])
    table.finish(first)
    assert table.begin(PAGES[1].key, "another") is None
    assert next_of(table, first) is not None


def test_jobs_that_are_held_back_in_vain_get_their_messages_again(table: JobTable) -> None:
    queue(table, *PAGES[:3])
    first = begun(table, PAGES[0])
    for page in PAGES[1:3]:
        assert table.begin(page.key, "another") is None
    table.finish(first)
    messages = table.let_go(first)
    assert sorted(message.label for message in messages) == ["book.tif page 2", "book.tif page 3"]
    assert begun(table, PAGES[1])
    assert table.let_go(first) == [], "they wait for the other process now"


def test_a_job_whose_message_is_still_in_the_queue_gets_no_second_one(table: JobTable) -> None:
    queue(table, *PAGES[:2])
    first = begun(table, PAGES[0])
    table.finish(first)
    assert table.let_go(first) == []


def test_when_the_process_dies_all_jobs_of_the_master_get_their_messages(table: JobTable) -> None:
    queue(table, *PAGES[:3])
    begun(table, PAGES[0], "the task")
    for page in PAGES[1:3]:
        table.begin(page.key, "another")
    lost = table.process_died("the task")
    assert lost is not None
    assert sorted(message.label for message in lost.messages) == [page.label for page in PAGES[:3]]
    again = begun(table, PAGES[1])
    assert table.begin(PAGES[0].key, "another") is None
    assert len(chain(table, again)) == 2


def test_when_the_worker_dies_all_jobs_of_the_master_get_their_messages(table: JobTable) -> None:
    queue(table, *PAGES[:3])
    begun(table, PAGES[0])
    table.begin(PAGES[1].key, "another")
    table.redis.zadd(table.keys.running, {PAGES[0].key: 1})  # its lease ran out long ago
    messages = table.reap()
    assert sorted(message.label for message in messages) == [page.label for page in PAGES[:2]]
    assert begun(table, PAGES[2]), "a dead process holds nothing back"


def test_a_companion_that_was_running_when_its_process_died_is_queued_again(table: JobTable) -> None:
    queue(table, *PAGES[:2])
    first = begun(table, PAGES[0], "m")
    table.finish(first)
    second = next_of(table, first)
    assert second is not None
    lost = table.process_died("m")
    assert lost is not None
    assert lost.messages == [Message(Lane.BULK, PAGES[1].as_json())]


def test_the_reaper_sends_no_messages_of_jobs_that_are_held_back(table: JobTable) -> None:
    queue(table, *PAGES[:2])
    first = begun(table, PAGES[0])
    table.begin(PAGES[1].key, "another")
    table.redis.zadd(table.keys.queued(Lane.BULK), {PAGES[1].key: 1})  # queued long ago
    assert table.reap() == []
    table.forget(first.key, first.source)
    table.redis.zadd(table.keys.queued(Lane.BULK), {PAGES[1].key: 1})
    assert table.reap() == [Message(Lane.BULK, PAGES[1].as_json())]


def step_back(table: JobTable, claim: Claim, seconds: float) -> None:
    """Have what is known of the masters of *claim* lie *seconds* further ahead, as after the clock stepped back."""
    reading = table.keys.reading(claim.source)
    for field in ("since", "ended", f"chain:{claim.chain}"):
        if table.redis.hexists(reading, field):
            table.redis.hincrby(reading, field, int(seconds * 1000))


@pytest.mark.parametrize("lane", list(Lane))
def test_after_the_clock_stepped_back_a_process_that_died_holds_nothing_back(table: JobTable, lane: Lane) -> None:
    queue(table, *PAGES[:2], lane=lane)
    first = begun(table, PAGES[0])
    table.finish(first)
    assert table.begin(PAGES[1].key, "another") is None
    step_back(table, first, 3600)
    assert table.reap() == [Message(lane, PAGES[1].as_json())]
    assert begun(table, PAGES[1])


def test_after_the_clock_stepped_back_nothing_is_made_from_masters_opened_before(table: JobTable) -> None:
    queue(table, *PAGES[:2])
    first = begun(table, PAGES[0])
    table.finish(first)
    step_back(table, first, 3600)
    assert next_of(table, first) is None


# --- a client waits


def test_a_job_with_a_waiting_client_is_held_back_for_a_while(table: JobTable) -> None:
    queue(table, *PAGES[:2], OTHER, lane=Lane.INTERACTIVE)
    first = table.begin_next("w")
    assert first is not None
    second = table.begin_next("w2")
    assert second is not None
    assert second.recipe["path"] == "other.tif", "the next turn is taken instead"
    assert table.begin_next("w3") is None
    age(table, first, 5.1)
    third = table.begin_next("w3")
    assert third is not None
    assert third.key == PAGES[1].key


def test_a_job_is_held_back_while_its_master_arrives_and_as_long_again(table: JobTable) -> None:
    queue(table, *PAGES[:2], lane=Lane.INTERACTIVE)
    first = table.begin_next("w")
    assert first is not None
    age(table, first, 30)
    report(table, first, None)
    assert table.begin_next("w2") is None
    report(table, first, 20)
    assert table.begin_next("w2") is None
    report(table, first, 14)
    assert table.begin_next("w2") is not None


def test_the_time_that_the_download_took_counts_for_the_companions_of_its_job(table: JobTable) -> None:
    queue(table, *PAGES[:3], lane=Lane.INTERACTIVE)
    first = table.begin_next("w")
    assert first is not None
    table.finish(first)
    age(table, first, 30)
    assert next_of(table, first, arrival=20) is not None
    assert table.begin_next("w2") is None


def test_two_processes_with_the_same_master_both_begin_its_jobs(table: JobTable) -> None:
    queue(table, *PAGES, lane=Lane.INTERACTIVE)
    first = table.begin_next("w")
    assert first is not None
    age(table, first, 6)
    second = table.begin_next("w2")
    assert second is not None
    assert table.begin_next("w3") is None, "the second download holds back jobs, too"
    table.finish(second)
    assert next_of(table, second) is not None
    table.finish(first)
    assert next_of(table, first) is not None


def test_a_bulk_job_that_a_client_asks_for_is_taken_over_next(table: JobTable) -> None:
    queue(table, *PAGES)
    first = begun(table, PAGES[0])
    queue(table, PAGES[4], lane=Lane.INTERACTIVE)
    table.finish(first)
    second = next_of(table, first)
    assert second is not None
    assert (second.key, second.lane) == (PAGES[4].key, Lane.INTERACTIVE)


def test_a_waiting_client_of_another_master_goes_before_bulk_companions_after_a_while(table: JobTable) -> None:
    queue(table, *PAGES[:3])
    first = begun(table, PAGES[0])
    queue(table, OTHER, lane=Lane.INTERACTIVE)
    table.finish(first)
    second = next_of(table, first)
    assert second is not None, "at first the download is used"
    table.finish(second)
    age(table, first, 6)
    assert next_of(table, second) is None
    assert table.begin_next("w2") is not None
    assert next_of(table, second) is not None


def test_a_slow_download_gives_its_bulk_jobs_no_longer_precedence(table: JobTable) -> None:
    queue(table, *PAGES[:3])
    first = begun(table, PAGES[0])
    queue(table, OTHER, lane=Lane.INTERACTIVE)
    table.finish(first)
    age(table, first, 64)
    assert next_of(table, first, arrival=58) is None
    assert next_of(table, first, arrival=60) is not None, "the master arrived four seconds ago"


def test_another_clients_turn_comes_before_companions_after_a_while(table: JobTable) -> None:
    queue(table, *PAGES[:4], lane=Lane.INTERACTIVE, client="a")
    first = table.begin_next("w")
    assert first is not None
    queue(table, OTHER, lane=Lane.INTERACTIVE, client="b")
    table.finish(first)
    age(table, first, 6)
    second = next_of(table, first)
    assert second is not None, "it is the turn of client a"
    table.finish(second)
    assert next_of(table, second) is None


def test_a_client_at_its_limit_gets_no_companions(table: JobTable) -> None:
    shared = with_policy(table, client_share=0.5)
    seconds, _ = table.redis.time()
    WorkerRegistry(table.redis, table.keys).heartbeat(Worker("w", 3, ("interactive",)))
    assert seconds
    queue(shared, *PAGES[:3], lane=Lane.INTERACTIVE, client="a")
    queue(shared, Mezzanine.parse("x"), Mezzanine.parse("y"), lane=Lane.INTERACTIVE, client="b")
    first = begun(shared, PAGES[0])
    other = Mezzanine.parse("z")
    queue(shared, other, lane=Lane.INTERACTIVE, client="a")
    begun(shared, other)
    shared.finish(first)
    assert next_of(shared, first) is None


def test_a_process_of_the_interactive_lane_takes_no_bulk_job_and_holds_none_back(table: JobTable) -> None:
    queue(table, PAGES[0], lane=Lane.INTERACTIVE)
    queue(table, PAGES[1], PAGES[2])
    first = table.begin_next("w", bulk=False)
    assert first is not None
    assert table.begin(PAGES[1].key, "another") is not None
    table.finish(first)
    assert next_of(table, first, bulk=False) is None


def test_a_job_gets_its_message_as_soon_as_it_is_held_back_no_more(table: JobTable) -> None:
    queue(table, PAGES[0])
    first = begun(table, PAGES[0])
    queue(table, PAGES[1], lane=Lane.INTERACTIVE)
    assert table.begin_next("w2") is None
    assert table.reap() == []
    age(table, first, 5.1)
    assert table.reap() == [Message(Lane.INTERACTIVE, PAGES[1].as_json())]
    assert table.reap() == [], "one message is enough"


def test_a_job_that_kept_its_message_gets_no_second_one_when_it_is_held_back_no_more(table: JobTable) -> None:
    queue(table, *PAGES[:2], lane=Lane.INTERACTIVE)
    first = begun(table, PAGES[0])
    age(table, first, 5.1)
    assert table.reap() == []


def test_a_lost_message_is_sent_however_many_jobs_are_held_back(table: JobTable) -> None:
    pages = [Mezzanine.parse("book.tif", page) for page in range(1, 152)]
    queue(table, *pages, OTHER, lane=Lane.INTERACTIVE)
    begun(table, pages[0])
    queued = table.keys.queued(Lane.INTERACTIVE)
    table.redis.zadd(queued, {page.key: number for number, page in enumerate([*pages[1:], OTHER], 1)})
    assert table.reap() == [Message(Lane.INTERACTIVE, OTHER.as_json())]
    waiting = [table.redis.zscore(queued, page.key) for page in pages[1:]]
    assert waiting == list(range(1, 151)), "how long the others have waited is still known"


def test_a_lost_message_is_sent_if_more_jobs_are_held_back_than_a_sweep_looks_at(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.jobs.state.table.HELD_MOST", 10)
    pages = [Mezzanine.parse("book.tif", page) for page in range(1, 27)]
    queue(table, *pages, OTHER, lane=Lane.INTERACTIVE)
    begun(table, pages[0])
    queued = table.keys.queued(Lane.INTERACTIVE)
    table.redis.zadd(queued, {page.key: number for number, page in enumerate([*pages[1:], OTHER], 1)})
    sent = [Message(Lane.INTERACTIVE, OTHER.as_json())]
    assert table.reap() + table.reap() == sent
    for recipe in pages[20:]:
        table.forget(recipe.key)
    table.redis.zadd(queued, {OTHER.key: 1})
    assert table.reap() + table.reap() == sent, "also if there are fewer now than were passed over"


# --- changes, and time limits


def test_jobs_that_are_queued_by_a_change_get_no_masters_that_were_opened_before(table: JobTable) -> None:
    queue(table, PAGES[0])
    first = begun(table, PAGES[0])
    table.change(PAGES[1], Lane.BULK)
    table.finish(first)
    assert next_of(table, first) is None
    assert begun(table, PAGES[1])


def test_jobs_that_are_queued_after_a_deletion_get_no_masters_that_were_opened_before(table: JobTable) -> None:
    queue(table, PAGES[0])
    first = begun(table, PAGES[0])
    table.forget(PAGES[1].key, table.source_of(PAGES[1]))
    queue(table, PAGES[1])
    table.finish(first)
    assert next_of(table, first) is None
    assert begun(table, PAGES[1])


def test_companions_are_begun_in_the_first_half_of_the_time_limit_alone(table: JobTable) -> None:
    queue(table, *PAGES[:3])
    first = begun(table, PAGES[0])
    age(table, first, POLICY.time_limit / 2 + 1)
    assert begun(table, PAGES[1]), "nothing waits for a process that will begin no other job"
    table.finish(first)
    assert next_of(table, first) is None


def test_a_companion_that_runs_out_of_time_is_made_alone(table: JobTable) -> None:
    queue(table, *PAGES[:2])
    first = begun(table, PAGES[0])
    table.finish(first)
    second = next_of(table, first)
    assert second is not None
    assert Lease(table, second).fail(TimedOut("too long")) == 0
    table.let_go(second)
    until(table.reap, what="the job to be due")
    queue(table, PAGES[2])
    third = begun(table, PAGES[2])
    table.finish(third)
    assert next_of(table, third) is None
    alone = begun(table, PAGES[1])
    assert (alone.attempt, alone.is_companion) == (1, False)


def test_a_companion_whose_process_was_killed_for_its_time_is_made_alone(table: JobTable) -> None:
    queue(table, *PAGES[:2])
    first = begun(table, PAGES[0], "m")
    table.finish(first)
    assert next_of(table, first) is not None
    lost = table.process_killed("m", TimedOut("too long"))
    assert lost is not None
    assert lost.messages == [Message(Lane.BULK, PAGES[1].as_json())]
    assert begun(table, PAGES[1]).attempt == 1
    table.process_killed("m", TimedOut("too long"))
    assert table.states([PAGES[1].key]) == [JobState.FAILED], "now the time was its own"


def test_a_message_is_not_taken_for_lost_because_a_companion_was_begun_early(table: JobTable) -> None:
    queue(table, PAGES[0], OTHER, PAGES[1])
    first = begun(table, PAGES[0])
    queued = [table.redis.zscore(table.keys.queued(Lane.BULK), recipe.key) for recipe in (OTHER, PAGES[1])]
    assert all(earlier <= later for earlier, later in pairwise(queued))
    noted = table.redis.get(table.keys.begun_bulk)
    table.finish(first)
    assert next_of(table, first) is not None
    assert table.redis.get(table.keys.begun_bulk) == noted
