"""The job table: every transition, on a real broker and on fakeredis."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fakeredis
import pytest

from mezcal.errors import MasterMissing, OriginFailed, Quarantined, Retention, StoreDown, Superseded, TimedOut
from mezcal.jobs import Claim, JobState, Lane
from mezcal.jobs.recent import RecentDerivatives
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.leases import BACK_OFF_MAX, Lease
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.records import LostAttempt, Message, QueueRequest, QueueResult, Verdict
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import Mezzanine
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.broker import Broker

RECIPE = Mezzanine.parse("dc/1")
KEY = RECIPE.key
MESSAGE = Message(Lane.BULK, RECIPE.as_json())
LONG, SHORT = 60.0, 0.03  # leases in seconds: one that holds throughout a test, one that runs out at once
POLICY = JobPolicy(lease=LONG, max_attempts=3, queue_max=100, retention={Retention.MISSING: 120, Retention.BRIEF: 10})


@pytest.fixture(params=["real", "fake"])
def redis(request: pytest.FixtureRequest) -> Any:
    if request.param == "fake":
        return fakeredis.FakeRedis(decode_responses=True)
    broker: Broker = request.getfixturevalue("broker")
    return broker.client()


@pytest.fixture
def table(redis: Any) -> JobTable:
    return JobTable(redis, Keys(f"{uuid4().hex}:"), POLICY)


def with_lease(table: JobTable, lease: float) -> JobTable:
    return JobTable(table.redis, table.keys, replace(POLICY, lease=lease))


def begun(table: JobTable, lane: Lane = Lane.INTERACTIVE) -> Claim:
    table.ensure(RECIPE, lane)
    claim = table.begin(KEY, "w1")
    assert claim is not None
    return claim


def reaped(table: JobTable) -> list[Message]:
    """Wait until the reaper returns messages, and return them."""
    return until(table.reap, what="anything to reap")


def state(table: JobTable) -> JobState | None:
    record = table.read(KEY)
    return record.state if record else None


def test_the_first_client_starts_the_job_and_the_others_join(table: JobTable) -> None:
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.PUBLISH
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.JOINED
    assert table.ensure(RECIPE, Lane.BULK).verdict is Verdict.JOINED
    assert table.depths() == {"interactive": 1, "bulk": 0, "running": 0, "delayed": 0, "failed": 0}


def test_a_client_promotes_a_queued_bulk_job_once(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.BULK)
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.PUBLISH
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.JOINED
    assert table.depths()["interactive"] == 1
    assert table.depths()["bulk"] == 0


def test_a_job_runs_once_however_many_messages_there_are(table: JobTable) -> None:
    claim = begun(table)
    assert table.begin(KEY, "w2") is None
    assert (claim.attempt, claim.lane, claim.remake) == (1, Lane.INTERACTIVE, False)
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.JOINED


def test_a_message_without_a_job_is_dropped(table: JobTable) -> None:
    assert table.begin(KEY, "w1") is None


def test_the_end_of_a_job_is_published(table: JobTable) -> None:
    with table.redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(table.keys.ended)
        claim = begun(table)
        assert table.finish(claim)
        message = until(lambda: channel.get_message(timeout=0.1), what="the message")
    assert message["data"] == KEY
    assert state(table) is JobState.DONE
    assert table.depths()["running"] == 0
    assert RecentDerivatives(table.redis, table.keys).newest(5) == [RECIPE.as_json()]


def test_a_done_job_starts_again_when_its_derivative_is_gone(table: JobTable) -> None:
    table.finish(begun(table))
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.PUBLISH


def test_a_failure_is_remembered_for_as_long_as_its_class_says(table: JobTable) -> None:
    table.fail(begun(table), MasterMissing("no such file"))
    result = table.ensure(RECIPE, Lane.INTERACTIVE)
    assert result.verdict is Verdict.FAILED
    assert isinstance(result.failure, MasterMissing)
    assert result.failure.detail == "no such file"
    assert 100 < table.redis.ttl(table.keys.job(KEY)) <= 120
    assert [record.key for record in table.failures()] == [KEY]


def test_a_forgotten_failure_is_tried_again(table: JobTable) -> None:
    table.fail(begun(table), MasterMissing("no such file"))
    assert table.forget(KEY)
    assert not table.forget(KEY)
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.PUBLISH
    assert table.depths()["failed"] == 0


def test_a_worker_whose_job_was_forgotten_can_neither_keep_nor_report_it(table: JobTable) -> None:
    claim = begun(table)
    table.forget(KEY)
    assert not table.renew(claim)
    assert not table.finish(claim)
    assert state(table) is None


def test_a_lease_that_ran_out_queues_the_job_again(table: JobTable) -> None:
    short_lease = with_lease(table, SHORT)
    old = begun(short_lease)
    assert reaped(short_lease) == [Message(Lane.INTERACTIVE, RECIPE.as_json())]
    new = table.begin(KEY, "w2")
    assert new is not None
    assert new.attempt == 2
    assert int(new.token) > int(old.token)
    assert not table.renew(old)
    assert not table.finish(old)
    assert table.finish(new)


def test_a_renewed_lease_does_not_run_out(table: JobTable) -> None:
    claim = begun(with_lease(table, SHORT))
    assert table.renew(claim)
    assert table.reap() == []
    assert state(table) is JobState.RUNNING


def test_a_worker_that_could_not_reach_redis_gets_its_job_back(table: JobTable) -> None:
    """The job was reaped, but no other worker has started it: it continues, and the second message is dropped."""
    short_lease = with_lease(table, SHORT)
    claim = begun(short_lease)
    reaped(short_lease)
    assert state(table) is JobState.QUEUED
    assert table.renew(claim)
    assert state(table) is JobState.RUNNING
    assert table.begin(KEY, "w2") is None
    assert table.depths()["interactive"] == 0
    assert table.finish(claim)


def test_a_job_that_keeps_ending_its_workers_is_quarantined(table: JobTable) -> None:
    short_lease = with_lease(table, SHORT)
    begun(short_lease)
    for _ in range(POLICY.max_attempts - 1):
        reaped(short_lease)
        assert short_lease.begin(KEY, "w") is not None
    until(lambda: not short_lease.reap() and state(table) is JobState.QUARANTINED, what="quarantine")
    result = table.ensure(RECIPE, Lane.INTERACTIVE)
    assert result.verdict is Verdict.FAILED
    assert isinstance(result.failure, Quarantined)
    record = table.read(KEY)
    assert record is not None
    assert [past["attempt"] for past in record.history] == [1, 2, 3]
    assert table.forget(KEY)


def test_a_live_worker_gets_its_job_back_from_quarantine(table: JobTable) -> None:
    """The worker lost its connection during the last attempt. It has not died, so its picture is valid."""
    last = JobTable(table.redis, table.keys, JobPolicy(SHORT, 1))
    claim = begun(last)
    until(lambda: not last.reap() and state(table) is JobState.QUARANTINED, what="quarantine")
    assert last.renew(claim)
    assert table.finish(claim)
    assert state(table) is JobState.DONE
    assert table.depths()["failed"] == 0


def test_a_delayed_job_is_queued_when_it_is_due(table: JobTable) -> None:
    assert table.delay_after(begun(table, Lane.BULK), OriginFailed("503"), 0)
    assert table.begin(KEY, "w2") is None
    assert reaped(table) == [Message(Lane.BULK, RECIPE.as_json())]


def test_a_client_does_not_wait_for_the_delay_of_a_job(table: JobTable) -> None:
    table.delay_after(begun(table, Lane.BULK), OriginFailed("503"), 3600)
    assert table.ensure(RECIPE, Lane.BULK).verdict is Verdict.JOINED
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.PUBLISH
    assert table.begin(KEY, "w2") is not None


def test_a_lost_message_is_sent_again(table: JobTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mezcal.jobs.state.table.GRACE_MS", 10)
    table.ensure(RECIPE, Lane.BULK)
    assert reaped(table) == [Message(Lane.BULK, RECIPE.as_json())]


def test_a_message_lost_before_a_long_queue_is_missed_when_later_ones_overtake_it(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a steady load the queue of messages is never empty, so emptiness cannot be the only sign."""
    monkeypatch.setattr("mezcal.jobs.state.table.GRACE_MS", 10)
    later = Mezzanine.parse("dc/2")
    table.ensure(RECIPE, Lane.BULK)
    table.redis.lpush(table.keys.messages(Lane.BULK), "the message of a third job")
    assert table.reap() == []

    def overtaken() -> list[Message]:
        table.forget(later.key)
        table.ensure(later, Lane.BULK)
        table.begin(later.key, "w1")
        return table.reap()

    assert until(overtaken) == [Message(Lane.BULK, RECIPE.as_json())]


def test_a_full_lane_refuses_and_a_join_does_not_count(table: JobTable) -> None:
    narrow = JobTable(table.redis, table.keys, JobPolicy(queue_max=1))
    assert narrow.ensure(RECIPE, Lane.BULK).verdict is Verdict.PUBLISH
    assert narrow.ensure(RECIPE, Lane.BULK).verdict is Verdict.JOINED
    assert narrow.ensure(Mezzanine.parse("dc/2"), Lane.BULK).verdict is Verdict.FULL
    assert narrow.ensure(Mezzanine.parse("dc/2"), Lane.INTERACTIVE).verdict is Verdict.PUBLISH


def test_no_job_is_kept_for_ever(table: JobTable) -> None:
    """Whatever happens to a job, its record has an expiry, so that no fault fills Redis."""
    short_lease = with_lease(table, SHORT)
    steps = [
        lambda: table.ensure(RECIPE, Lane.BULK),
        lambda: table.begin(KEY, "w"),
        lambda: table.forget(KEY),
        lambda: table.delay_after(begun(table, Lane.BULK), OriginFailed("x"), 5),
        lambda: table.ensure(RECIPE, Lane.INTERACTIVE),
        lambda: table.fail(begun(table), MasterMissing("x")),
        lambda: table.forget(KEY),
        lambda: (begun(short_lease), reaped(short_lease)),
    ]
    for step in steps:
        step()
        assert table.redis.ttl(table.keys.job(KEY)) != -1
    assert table.redis.ttl(table.keys.fence) > 0


def test_tokens_grow_even_if_redis_forgot_them(table: JobTable) -> None:
    first = begun(table)
    table.redis.delete(table.keys.fence, table.keys.job(KEY))
    assert int(begun(table).token) > int(first.token)


def test_a_process_that_died_has_its_job_queued_at_once(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.BULK)
    claim = table.begin(KEY, "w1", "message-1")
    assert claim is not None
    assert table.process_died("another message") is None
    assert table.process_died("message-1") == LostAttempt(KEY, Lane.BULK, RECIPE.as_json(), [MESSAGE])
    assert not table.finish(claim), "it is dead: nothing of it counts"
    again = table.begin(KEY, "w2", "message-2")
    assert again is not None
    assert again.attempt == 2
    assert table.process_died("message-1") is None


def test_a_job_whose_processes_die_is_quarantined_without_any_lease(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.INTERACTIVE)
    for number in range(POLICY.max_attempts):
        assert table.begin(KEY, "w", str(number)) is not None
        lost = table.process_died(str(number))
        assert lost is not None
        assert bool(lost.messages) == (number < POLICY.max_attempts - 1)
    assert state(table) is JobState.QUARANTINED


def test_the_job_of_a_killed_process_fails(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.INTERACTIVE)
    table.begin(KEY, "w", "m")
    table.process_killed("m", TimedOut("too long"))
    result = table.ensure(RECIPE, Lane.INTERACTIVE)
    assert result.verdict is Verdict.FAILED
    assert isinstance(result.failure, TimedOut)


def test_a_job_given_back_by_a_shutdown_is_not_counted(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.BULK)
    table.begin(KEY, "w", "m")
    assert table.give_back("m") == LostAttempt(KEY, Lane.BULK, RECIPE.as_json(), [MESSAGE])
    again = table.begin(KEY, "w2", "m2")
    assert again is not None
    assert again.attempt == 1


def test_a_change_ends_the_lease_of_a_worker_that_has_read_the_old_master(table: JobTable) -> None:
    old = begun(table)
    assert table.change(RECIPE, Lane.BULK) == QueueResult(Verdict.PUBLISH, Lane.INTERACTIVE), "a client waits for it"
    assert not table.renew(old)
    assert not table.finish(old)
    new = table.begin(KEY, "w2")
    assert new is not None
    assert (new.attempt, new.remake) == (1, True)


def test_a_change_of_a_queued_job_only_marks_it_as_to_be_made_again(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.INTERACTIVE)
    assert table.change(RECIPE, Lane.BULK).verdict is Verdict.JOINED
    claim = table.begin(KEY, "w")
    assert claim is not None
    assert claim.remake


def test_after_a_change_a_worker_that_could_not_reach_redis_does_not_get_its_job_back(table: JobTable) -> None:
    short_lease = with_lease(table, SHORT)
    old = begun(short_lease)
    reaped(short_lease)
    table.change(RECIPE, Lane.BULK)
    assert not table.renew(old)


@pytest.mark.parametrize("end", ["done", "failed", "quarantined", "delayed", "unknown"])
def test_a_change_starts_the_job_again_after_any_end(table: JobTable, end: str) -> None:
    if end == "done":
        table.finish(begun(table))
    elif end == "failed":
        table.fail(begun(table), MasterMissing("no such file"))
    elif end == "quarantined":
        for number in range(POLICY.max_attempts):
            table.ensure(RECIPE, Lane.INTERACTIVE)
            table.begin(KEY, "w", str(number))
            table.process_died(str(number))
    elif end == "delayed":
        table.delay_after(begun(table, Lane.BULK), OriginFailed("503"), 3600)
    assert table.change(RECIPE, Lane.BULK) == QueueResult(Verdict.PUBLISH, Lane.BULK)
    claim = table.begin(KEY, "w")
    assert claim is not None
    assert (claim.attempt, claim.remake) == (1, True)


def test_an_operator_has_a_failure_tried_again_with_its_history(table: JobTable) -> None:
    assert table.retry(KEY) is None
    table.fail(begun(table), MasterMissing("no such file"))
    assert table.retry(KEY) == Message(Lane.BULK, RECIPE.as_json())
    assert table.retry(KEY) is None, "it is queued already"
    assert table.failures() == []
    claim = table.begin(KEY, "w")
    assert claim is not None
    assert claim.attempt == 1
    record = table.read(KEY)
    assert record is not None
    assert len(record.history) == 1


def test_the_failure_of_a_bulk_job_is_listed_for_longer_than_clients_are_refused(table: JobTable) -> None:
    lasting = replace(POLICY, retention=POLICY.retention | {Retention.LASTING: 1000, Retention.BRIEF: 1})
    long = JobTable(table.redis, table.keys, lasting)
    long.fail(begun(long, Lane.BULK), OriginFailed("503"))
    assert long.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.FAILED
    until(lambda: long.ensure(RECIPE, Lane.BULK).verdict is Verdict.PUBLISH, what="the end of its refusal")
    long.forget(KEY)
    long.fail(begun(long, Lane.BULK), OriginFailed("503"))
    assert long.redis.ttl(long.keys.job(KEY)) > 900
    assert len(long.failures()) == 1


def test_a_job_that_a_client_waits_for_by_now_fails_instead_of_being_delayed(table: JobTable) -> None:
    claim = begun(table, Lane.BULK)
    table.ensure(RECIPE, Lane.INTERACTIVE)
    assert table.delay_after(claim, OriginFailed("503"), 3600)
    assert state(table) is JobState.FAILED


def test_the_attempt_of_a_job_that_was_not_tried_is_not_counted(table: JobTable) -> None:
    assert table.delay(begun(table, Lane.BULK), 0)
    assert reaped(table) == [Message(Lane.BULK, RECIPE.as_json())]
    claim = table.begin(KEY, "w")
    assert claim is not None
    assert claim.attempt == 1


def test_many_jobs_are_queued_in_one_round_trip(table: JobTable) -> None:
    recipes = [Mezzanine.parse(f"dc/{number}") for number in range(150)]
    table.ensure(recipes[3], Lane.BULK)
    verdicts = [result.verdict for result in table.queue([QueueRequest(recipe) for recipe in recipes], Lane.BULK)]
    assert verdicts[3] is Verdict.JOINED
    assert verdicts.count(Verdict.PUBLISH) == 99
    assert verdicts[-1] is Verdict.FULL


# --- tickets

URLS = {"7": "https://archive.example/7.fits?X-Signature=abc"}


def ticket(table: JobTable) -> str | None:
    return table.redis.get(table.keys.ticket(KEY))  # type: ignore[return-value]


def claimed_with_ticket(table: JobTable, lane: Lane = Lane.INTERACTIVE) -> Claim:
    table.ensure(RECIPE, lane, urls=URLS)
    claim = table.begin(KEY, "w1", "m1")
    assert claim is not None
    assert json.loads(ticket(table) or "{}") == URLS
    return claim


@pytest.mark.parametrize("end", ["finish", "fail", "forget", "killed", "quarantined", "withdrawn", "begun-too-often"])
def test_the_signed_urls_of_a_job_are_deleted_when_it_ends(table: JobTable, end: str) -> None:
    if end == "withdrawn":
        table.ensure(RECIPE, Lane.BULK, urls=URLS)
        assert table.withdraw([KEY], 0) == 1
        assert ticket(table) is None
        return
    claim = claimed_with_ticket(table)
    match end:
        case "finish":
            assert table.finish(claim)
        case "fail":
            assert table.fail(claim, MasterMissing("x"))
        case "forget":
            assert table.forget(KEY)
        case "killed":
            table.process_killed("m1", TimedOut("x"))
        case "quarantined":
            JobTable(table.redis, table.keys, replace(POLICY, max_attempts=1)).process_died("m1")
        case "begun-too-often":
            table.process_died("m1")
            JobTable(table.redis, table.keys, replace(POLICY, max_attempts=1)).begin(KEY, "w2")
    assert ticket(table) is None


def test_a_job_that_the_reaper_quarantines_loses_its_signed_urls(table: JobTable) -> None:
    short = JobTable(table.redis, table.keys, replace(POLICY, lease=SHORT, max_attempts=1))
    claimed_with_ticket(short)
    until(lambda: short.reap() or state(table) is JobState.QUARANTINED, what="the quarantine")
    assert ticket(table) is None


def test_a_job_that_has_not_ended_keeps_its_signed_urls(table: JobTable) -> None:
    claim = claimed_with_ticket(table, Lane.BULK)
    assert table.delay_after(claim, OriginFailed("x"), 60)
    assert ticket(table), "delayed"
    table.retry(KEY)
    claim = table.begin(KEY, "w1", "m2")
    assert claim is not None
    table.process_died("m2")
    assert ticket(table), "queued again, since its process died"
    assert 0 < int(table.redis.ttl(table.keys.ticket(KEY))) <= 47 * 3600  # type: ignore[arg-type]


def test_only_a_request_that_starts_or_joins_a_job_saves_signed_urls(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.INTERACTIVE)
    newer = {"7": "https://archive.example/7.fits?X-Signature=newer"}
    assert table.ensure(RECIPE, Lane.INTERACTIVE, urls=newer).verdict is Verdict.JOINED
    assert json.loads(ticket(table) or "{}") == newer
    claim = table.begin(KEY, "w1")
    assert claim is not None
    table.fail(claim, MasterMissing("x"))
    assert table.ensure(RECIPE, Lane.INTERACTIVE, urls=newer).verdict is Verdict.FAILED
    assert ticket(table) is None
    assert table.retry(KEY, Lane.INTERACTIVE, urls=newer)
    assert json.loads(ticket(table) or "{}") == newer
    assert table.retry(KEY, Lane.INTERACTIVE, URLS) is None
    assert json.loads(ticket(table) or "{}") == newer, "it is queued already"


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("state_of_job", ["queued", "delayed", "running"])
def test_a_job_that_is_in_no_index_is_queued_again_by_whoever_asks(
    table: JobTable, state_of_job: str, lane: Lane
) -> None:
    """A key was deleted by hand, or half of them were restored: no worker would ever begin or end the job."""
    table.ensure(RECIPE, lane)
    claim = table.begin(KEY, "w1") if state_of_job != "queued" else None
    if claim and state_of_job == "delayed":
        table.delay(claim, 60)
    for index in (table.keys.queued(Lane.BULK), table.keys.queued(Lane.INTERACTIVE)):
        table.redis.delete(index, table.keys.running, table.keys.delayed, table.keys.turns)
    assert table.ensure(RECIPE, lane).verdict is Verdict.PUBLISH
    assert table.ensure(RECIPE, lane).verdict is Verdict.JOINED
    if claim and state_of_job == "running":
        assert table.renew(claim), "the worker that runs it goes on"
    else:
        assert table.begin(KEY, "w2")


def test_a_change_of_a_job_that_is_in_no_index_queues_it(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.BULK)
    table.redis.delete(table.keys.queued(Lane.BULK))
    assert table.change(RECIPE, Lane.BULK).verdict is Verdict.PUBLISH
    claim = table.begin(KEY, "w1")
    assert claim is not None
    assert claim.remake


def test_a_process_killed_after_an_outage_is_not_blamed_on_its_job(table: JobTable) -> None:
    """A worker that waited for Redis notices late that a task ended, and takes it for one that exceeded its time."""
    short = JobTable(table.redis, table.keys, replace(POLICY, lease=SHORT))
    short.ensure(RECIPE, Lane.INTERACTIVE)
    assert short.begin(KEY, "w1", "m1")
    until(lambda: short.redis.zscore(short.keys.running, KEY) < now_ms(short), what="the end of the lease")
    assert short.process_killed("m1", TimedOut("too long")) is None
    assert short.reap()
    assert state(table) is JobState.QUEUED


def now_ms(table: JobTable) -> float:
    seconds, microseconds = table.redis.time()
    return seconds * 1000 + microseconds / 1000


def step_back(table: JobTable, seconds: float) -> None:
    """Have all times in Redis lie *seconds* further ahead, as after its clock stepped back."""
    redis, keys = table.redis, table.keys
    for index in (keys.running, keys.delayed, keys.failed, keys.chunks):
        for name, score in redis.zrange(index, 0, -1, withscores=True):
            redis.zadd(index, {name: score + 1000 * seconds})
    for name in (keys.job(KEY), keys.circuit("")):
        for field in ("ended", "refused_until", "paused_at", "paused_until", "probe_at", "probe_until"):
            if redis.hexists(name, field):
                redis.hincrby(name, field, int(1000 * seconds))
    if redis.exists(keys.clock):
        redis.incrby(keys.clock, int(1000 * seconds))


def test_after_the_clock_stepped_back_a_failure_is_not_remembered_for_longer(table: JobTable) -> None:
    claim = begun(table)
    table.fail(claim, MasterMissing("none"))
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.FAILED
    step_back(table, 86_400)
    assert table.ensure(RECIPE, Lane.INTERACTIVE).verdict is Verdict.PUBLISH


def test_after_the_clock_stepped_back_leases_and_delays_end_as_before(table: JobTable) -> None:
    short = with_lease(table, SHORT)
    table.reap()
    claim = begun(short, Lane.BULK)
    step_back(table, 86_400)
    assert [message.recipe["path"] for message in reaped(table)] == ["dc/1"]
    table.reap()
    claim = table.begin(KEY, "w2")
    assert claim is not None
    table.delay(claim, 0.05)
    step_back(table, 3_600)
    assert [message.recipe["path"] for message in reaped(table)] == ["dc/1"]
    claim = table.begin(KEY, "w3")
    assert claim is not None
    assert claim.waited >= 0


def test_a_changed_master_is_tried_until_it_can_be_read(table: JobTable) -> None:
    """An outage may be longer than all attempts. The pauses grow, and the attempts are not used up."""
    table.queue([QueueRequest(RECIPE, master_changed=True, remake=True)], Lane.BULK)
    pauses = []
    for number in range(12):
        claim = table.begin(KEY, f"w{number}")
        assert claim is not None
        assert (claim.remake, claim.attempt, claim.uncounted) == (True, 1, number)
        # also while the origin is suspect: else some masters that fail for ever would keep it paused for all
        seconds = Lease(table, replace(claim, suspect=number % 2 == 0)).fail(OriginFailed("503"))
        assert seconds is not None
        pauses.append(seconds)
        table.redis.zadd(table.keys.delayed, {KEY: 0})
        assert len(reaped(table)) == 1
    assert pauses[11] > pauses[0] * 50
    assert max(pauses) <= 1.5 * BACK_OFF_MAX
    claim = table.begin(KEY, "last")
    assert claim is not None
    table.finish(claim)
    assert table.states([KEY]) == [JobState.DONE]


def test_a_store_that_is_away_uses_up_no_attempts_and_is_tried_again_within_a_minute(table: JobTable) -> None:
    table.ensure(RECIPE, Lane.BULK)
    for number in range(8):
        claim = table.begin(KEY, f"w{number}")
        assert claim is not None
        assert claim.attempt == 1
        seconds = Lease(table, claim).fail(StoreDown("the object store cannot be reached"))
        assert seconds is not None
        assert seconds <= 60
        table.redis.zadd(table.keys.delayed, {KEY: 0})
        assert len(reaped(table)) == 1


def test_a_master_that_is_read_in_vain_on_a_full_disk_is_read_ever_more_rarely(table: JobTable) -> None:
    full = StoreDown("the disk is full")
    full.after_reading = True
    table.ensure(RECIPE, Lane.BULK)
    pauses = []
    for number in range(12):
        claim = table.begin(KEY, f"w{number}")
        assert claim is not None
        assert claim.attempt == 1, "no attempt is used up"
        pauses.append(Lease(table, claim).fail(full) or 0)
        table.redis.zadd(table.keys.delayed, {KEY: 0})
        assert len(reaped(table)) == 1
    assert BACK_OFF_MAX / 2 <= pauses[-1] <= 1.5 * BACK_OFF_MAX
    full.may_pass = True
    claim = table.begin(KEY, "last")
    assert claim is not None
    assert (Lease(table, claim).fail(full) or 0) <= 60, "what passes within minutes is waited for"


def test_a_wait_for_the_store_ends_with_the_lease_and_before_the_time_limit(table: JobTable) -> None:
    brief = with_lease(table, 0.3)
    with Lease(brief, begun(brief)).kept() as lease:
        assert lease.wait(0.01)
        assert not lease.wait(brief.policy.time_limit)
        brief.forget(KEY)
        with pytest.raises(Superseded):
            lease.wait(30)


def test_a_changed_master_that_is_gone_ends_its_job(table: JobTable) -> None:
    table.queue([QueueRequest(RECIPE, master_changed=True, remake=True)], Lane.BULK)
    claim = table.begin(KEY, "w")
    assert claim is not None
    assert Lease(table, claim).fail(MasterMissing("gone")) is None
    assert table.states([KEY]) == [JobState.FAILED]


def test_after_the_clock_stepped_back_a_lost_message_is_missed_as_soon(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.jobs.state.table.GRACE_MS", 10)
    table.reap()
    for lane in Lane:
        recipe = Mezzanine.parse(f"lost-{lane}")
        table.ensure(recipe, lane)
        table.redis.zincrby(table.keys.queued(lane), 3_600_000, recipe.key)
    table.redis.incrby(table.keys.clock, 3_600_000)
    found: list[Message] = []
    until(lambda: found.extend(table.reap()) or len(found) >= 2, what="both messages")
