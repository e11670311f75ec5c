"""The origin guard: places at an origin, and the circuit breaker that pauses a failing one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.errors import (
    Failure,
    MasterDenied,
    MasterIncomplete,
    MasterMissing,
    OriginFailed,
    OriginPaused,
    OriginRedirectRefused,
    OriginTimeout,
    PageInstead,
    StoreDown,
    Undecodable,
    UnusableResponse,
)
from mezcal.jobs import Lane
from mezcal.jobs import origin_guard as module
from mezcal.jobs.origin_guard import JobDelayed, OriginGuard, OriginHealth
from mezcal.jobs.state.keys import JobState, Keys
from mezcal.jobs.state.leases import Lease, back_off
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.records import Verdict
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import Mezzanine
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.broker import Broker

HOST = "repository.example"
KIND = Mezzanine.kind
PAUSE = 14.0  # seconds, longer than a busy machine takes for a test; `end_pause` ends it, and twice as long is allowed


@pytest.fixture
def table(broker: Broker) -> JobTable:
    policy = JobPolicy(origins={KIND: HOST}, origin_places=2, breaker_failures=3, breaker_pause=PAUSE)
    return JobTable(broker.client(), Keys(f"{uuid4().hex}:"), policy)


@pytest.fixture
def guard(table: JobTable, monkeypatch: pytest.MonkeyPatch) -> OriginGuard:
    monkeypatch.setattr(module, "PLACE_SECONDS", 0.0)
    return OriginGuard(table)


def lease(table: JobTable, path: str, lane: Lane = Lane.INTERACTIVE) -> Lease:
    recipe = Mezzanine.parse(path)
    table.forget(recipe.key)
    table.ensure(recipe, Lane.BULK)
    if lane is Lane.INTERACTIVE:
        table.redis.hset(table.keys.job(recipe.key), "lane", lane)
    claim = table.begin(recipe.key, "w")
    assert claim is not None
    return Lease(table, claim)


def fail(guard: OriginGuard, table: JobTable, path: str, failure: Exception | None = None) -> None:
    with suppress(Failure), guard.admit(lease(table, path)):
        raise failure or OriginFailed("503")


def end_pause(guard: OriginGuard, table: JobTable) -> None:
    """Have the pause be over, as if its time had passed."""
    table.redis.hset(table.keys.circuit(HOST), "paused_until", 1)
    assert guard.circuit(HOST).state == "half-open"


def opened(guard: OriginGuard, table: JobTable) -> None:
    for number in range(3):
        fail(guard, table, f"failing/{number}")


def test_no_more_jobs_than_places_are_admitted(table: JobTable, guard: OriginGuard) -> None:
    with guard.admit(lease(table, "a")), guard.admit(lease(table, "b")):
        assert guard.circuit(HOST).places_taken == 2
        with pytest.raises(JobDelayed), guard.admit(lease(table, "c")):
            pass
    with guard.admit(lease(table, "c")):
        assert guard.circuit(HOST).places_taken == 1


def test_a_job_with_several_masters_has_one_place(table: JobTable, guard: OriginGuard) -> None:
    mosaic = lease(table, "a")
    with guard.admit(lease(table, "b")), guard.admit(mosaic), guard.admit(mosaic):
        assert guard.circuit(HOST).places_taken == 2
    assert guard.circuit(HOST).places_taken == 0


def test_a_job_with_several_masters_ends_a_pause(table: JobTable, guard: OriginGuard) -> None:
    opened(guard, table)
    end_pause(guard, table)
    mosaic = lease(table, "a")
    with guard.admit(mosaic), guard.admit(mosaic):
        pass
    assert guard.circuit(HOST).state == "closed"


def test_a_folder_has_no_limits(table: JobTable) -> None:
    guard = OriginGuard(JobTable(table.redis, table.keys, JobPolicy(origins={KIND: ""}, origin_places=1)))
    with guard.admit(lease(table, "a")), guard.admit(lease(table, "b")):
        assert guard.circuit("").places_taken == 0


def test_failures_of_several_masters_open_the_circuit(table: JobTable, guard: OriginGuard) -> None:
    assert guard.circuit(HOST).state == "closed"
    opened(guard, table)
    assert guard.circuit(HOST).state == "open"
    assert table.ensure(Mezzanine.parse("new"), Lane.INTERACTIVE).verdict is Verdict.ORIGIN_PAUSED
    assert table.ensure(Mezzanine.parse("new"), Lane.BULK).verdict is Verdict.PUBLISH
    with pytest.raises(OriginPaused) as paused, guard.admit(lease(table, "x")):
        pass
    assert 1 <= paused.value.retry_after <= PAUSE
    with pytest.raises(JobDelayed) as delayed, guard.admit(lease(table, "y", Lane.BULK)):
        pass
    assert delayed.value.seconds > 0


@pytest.mark.parametrize("failure", [Undecodable("half of it"), None])
def test_a_success_or_a_master_at_fault_starts_the_count_again(
    table: JobTable, guard: OriginGuard, failure: Exception | None
) -> None:
    for number in range(2):
        fail(guard, table, f"failing/{number}")
    with suppress(Undecodable), guard.admit(lease(table, "healthy")):
        if failure:
            raise failure
    fail(guard, table, "failing/2")
    assert guard.circuit(HOST).state == "closed"


OF_ONE_MASTER = [
    UnusableResponse("the repository answered 400"),
    OriginRedirectRefused("the repository redirects to elsewhere"),
    MasterIncomplete("the repository sent less than it announced"),
    MasterMissing("404"),
    MasterDenied("403"),
]


@pytest.mark.parametrize("failure", OF_ONE_MASTER)
def test_a_failure_that_a_path_can_cause_never_opens_the_circuit(
    table: JobTable, guard: OriginGuard, failure: Failure
) -> None:
    for number in range(10):
        fail(guard, table, f"odd/{number}", failure)
    assert guard.circuit(HOST).state == "closed"


@pytest.mark.parametrize("failure", OF_ONE_MASTER)
def test_a_probe_that_ends_in_such_a_failure_closes_the_circuit(
    table: JobTable, guard: OriginGuard, failure: Failure
) -> None:
    opened(guard, table)
    end_pause(guard, table)
    fail(guard, table, "odd", failure)
    assert guard.circuit(HOST).state == "closed"


def test_slow_answers_open_the_circuit(table: JobTable, guard: OriginGuard) -> None:
    for number in range(3):
        fail(guard, table, f"slow/{number}", OriginTimeout("the repository did not answer"))
    assert guard.circuit(HOST).state == "open"


def test_revalidations_open_the_circuit_too_and_wait_for_no_paused_origin(table: JobTable, guard: OriginGuard) -> None:
    for number in range(3):
        recipe = Mezzanine.parse(f"stale/{number}")
        with pytest.raises(OriginTimeout), guard.watch(recipe.as_json(), recipe.key):
            raise OriginTimeout("the repository did not answer")
    assert guard.circuit(HOST).state == "open"
    asked: list[str] = []
    recipe = Mezzanine.parse("stale/3")
    with pytest.raises(OriginPaused), guard.watch(recipe.as_json(), recipe.key):
        asked.append("the origin")
    end_pause(guard, table)
    with pytest.raises(OriginPaused), guard.watch(recipe.as_json(), recipe.key):
        asked.append("the origin, which a job or the chore probes")
    assert asked == []


def test_a_revalidation_that_is_answered_starts_the_count_again(table: JobTable, guard: OriginGuard) -> None:
    for number in range(4):
        fail(guard, table, f"failing/{number}")
        recipe = Mezzanine.parse("stale")
        with suppress(MasterMissing), guard.watch(recipe.as_json(), recipe.key):
            if number == 2:
                raise MasterMissing("404")
    assert guard.circuit(HOST).state == "closed"


def test_the_same_master_and_faults_of_the_store_open_nothing(table: JobTable, guard: OriginGuard) -> None:
    for _ in range(5):
        fail(guard, table, "failing")
    for number in range(5):
        fail(guard, table, f"store/{number}", StoreDown("full"))
    assert guard.circuit(HOST).state == "closed"


def test_after_the_pause_one_job_probes_the_origin(table: JobTable, guard: OriginGuard) -> None:
    opened(guard, table)
    end_pause(guard, table)
    with suppress(OriginFailed), guard.admit(lease(table, "first")):
        with pytest.raises(OriginPaused), guard.admit(lease(table, "second")):
            pass
        raise OriginFailed("503")
    assert guard.circuit(HOST).state == "open"
    assert guard.circuit(HOST).seconds > PAUSE
    end_pause(guard, table)
    with guard.admit(lease(table, "first")):
        pass
    assert guard.circuit(HOST).state == "closed"


def changed_and_failed(table: JobTable, path: str, times: int) -> str:
    """Have a changed master fail so often. Returns the key of its job, which is delayed for a long time then."""
    recipe = Mezzanine.parse(path)
    if table.read(recipe.key) is None:
        table.change(recipe, Lane.BULK)
    for _ in range(times):
        table.retry(recipe.key)
        claim = table.begin(recipe.key, "w")
        assert claim is not None
        table.delay_after(claim, OriginFailed("503"), 3600)
    return recipe.key


def seconds_left(table: JobTable, key: str) -> float:
    seconds, _ = table.redis.time()
    return float(table.redis.zscore(table.keys.delayed, key) or 0) / 1000 - seconds


def well() -> None:
    """The answer of a healthy origin."""


def away() -> None:
    raise OriginTimeout("it does not answer")


@pytest.mark.parametrize("paused", [False, True])
def test_after_an_outage_changed_masters_are_tried_at_once_and_their_pauses_begin_again(
    table: JobTable, guard: OriginGuard, *, paused: bool
) -> None:
    """One changed master is too few to open the circuit: the chore finds out about the outage."""
    if paused:
        opened(guard, table)
        end_pause(guard, table)
    key = changed_and_failed(table, "changed", times=3)
    assert guard.probe_due(HOST)
    assert guard.probe(HOST, away) is OriginHealth.FAILING
    assert guard.circuit(HOST).state == ("open" if paused else "closed")
    assert seconds_left(table, key) > 3000
    assert guard.probe(HOST, well) is OriginHealth.HEALTHY
    assert seconds_left(table, key) < 2
    assert guard.circuit(HOST).state == "closed"
    assert not guard.probe_due(HOST)
    until(lambda: table.reap() or table.read(key).state is JobState.QUEUED, what="the job")  # type: ignore[union-attr]
    claim = table.begin(key, "w")
    assert claim is not None
    assert claim.remake
    assert (claim.attempt, claim.uncounted) == (1, 0)


@pytest.mark.parametrize("answer", [PageInstead("text/html"), MasterDenied("401"), UnusableResponse("400")])
def test_a_page_for_signing_in_or_an_expired_credential_is_an_outage_for_a_master_that_was_read(
    table: JobTable, guard: OriginGuard, answer: Failure
) -> None:
    recipe = Mezzanine.parse("changed")
    table.change(recipe, Lane.BULK)
    claim = table.begin(recipe.key, "w")
    assert claim is not None
    assert Lease(table, claim).fail(answer), "it is tried again"

    def answers() -> None:
        raise answer

    assert guard.probe(HOST, answers) is OriginHealth.REFUSING
    guard.probe(HOST, well)
    assert seconds_left(table, recipe.key) < 2


@pytest.mark.parametrize("answer", [PageInstead("text/html"), MasterDenied("403"), UnusableResponse("405")])
def test_an_origin_that_answers_is_not_kept_paused(table: JobTable, guard: OriginGuard, answer: Failure) -> None:
    opened(guard, table)
    end_pause(guard, table)

    def answers() -> None:
        raise answer

    guard.probe(HOST, answers)
    assert guard.circuit(HOST).state == "half-open", "the next job finds out"
    assert guard.probe(HOST, answers, known=False) is OriginHealth.HEALTHY, "of the base any answer will do"
    assert guard.circuit(HOST).state == "closed"


def test_a_master_that_always_fails_is_not_tried_sooner_while_others_are_well(
    table: JobTable, guard: OriginGuard
) -> None:
    key = changed_and_failed(table, "broken", times=3)
    assert guard.probe_due(HOST)
    guard.probe(HOST, well)
    assert seconds_left(table, key) > 3000
    assert not guard.probe_due(HOST), "and the origin is not asked again"


def test_an_origin_that_comes_and_goes_has_each_job_tried_once_in_ten_minutes(
    table: JobTable, guard: OriginGuard
) -> None:
    for number in range(3):
        key = changed_and_failed(table, "changed", times=1)
        guard.probe(HOST, away)
        guard.probe(HOST, well)
        assert (seconds_left(table, key) < 2) is (number == 0)


def test_many_jobs_are_tried_one_after_the_other(table: JobTable, guard: OriginGuard) -> None:
    keys = [changed_and_failed(table, f"changed/{number}", times=1) for number in range(100)]
    guard.probe(HOST, away)
    guard.probe(HOST, well)
    due = [table.redis.zscore(table.keys.delayed, key) / 1000 for key in keys]
    assert max(due) - min(due) > 4
    assert all(seconds_left(table, key) < 60 for key in keys)


def test_a_job_that_ended_is_no_longer_stalled(table: JobTable, guard: OriginGuard) -> None:
    key = changed_and_failed(table, "changed", times=1)
    table.retry(key)
    claim = table.begin(key, "w")
    assert claim is not None
    table.finish(claim)
    assert not table.redis.exists(table.keys.stalled(HOST))


def test_a_place_is_renewed_with_its_lease_and_free_when_that_ran_out(table: JobTable) -> None:
    brief = JobTable(table.redis, table.keys, JobPolicy(lease=0.3, origins={KIND: HOST}, origin_places=1))
    guard = OriginGuard(brief)
    left = guard.admit(lease(brief, "left"))
    left.__enter__()
    with guard.admit(lease(brief, "next")):
        assert guard.circuit(HOST).places_taken == 1
    with lease(brief, "kept").kept() as held, guard.admit(held):
        with pytest.raises(JobDelayed), guard.admit(lease(brief, "other")):
            pass
        assert held.on_renewal is not None


def test_every_key_of_the_guard_expires(table: JobTable, guard: OriginGuard) -> None:
    fail(guard, table, "failing/0")
    changed_and_failed(table, "changed", times=1)
    guard.probe(HOST, away)
    expiring(table)
    with guard.admit(lease(table, "one")):
        for number in (1, 2):
            fail(guard, table, f"failing/{number}")
        expiring(table)


def expiring(table: JobTable) -> None:
    for key in table.redis.scan_iter(f"{table.keys.prefix}*{HOST}"):
        assert table.redis.ttl(key) > 0, key


def test_back_off_doubles_and_varies() -> None:
    firsts, thirds = ([back_off(attempt, 30) for _ in range(200)] for attempt in (1, 3))
    assert 15 <= min(firsts) < max(firsts) <= 45
    assert 60 <= min(thirds) < max(thirds) <= 180
    assert len(set(firsts)) > 100


def test_after_the_clock_stepped_back_no_pause_lasts_longer(table: JobTable, guard: OriginGuard) -> None:
    """The times in Redis lie an hour ahead then."""
    opened(guard, table)
    circuit = table.keys.circuit(HOST)
    assert guard.circuit(HOST).state == "open"
    for field in ("paused_at", "paused_until"):
        table.redis.hincrby(circuit, field, 3_600_000)
    assert guard.circuit(HOST).state == "half-open"
    assert table.ensure(Mezzanine.parse("new"), Lane.INTERACTIVE).verdict is Verdict.PUBLISH
    probe = lease(table, "probe.tif")
    with guard.admit(probe):
        table.redis.hincrby(circuit, "probe_at", 3_600_000)
        table.redis.hincrby(circuit, "probe_until", 3_600_000)
        with guard.admit(lease(table, "second-probe.tif")):
            pass
    assert guard.circuit(HOST).state == "closed"


def test_after_the_clock_stepped_back_the_place_of_a_dead_job_ends_with_its_lease(table: JobTable) -> None:
    brief = JobTable(table.redis, table.keys, JobPolicy(lease=0.3, origins={KIND: HOST}, origin_places=1))
    guard = OriginGuard(brief)
    left = guard.admit(lease(brief, "left"))
    left.__enter__()
    ((token, ends),) = table.redis.zrange(table.keys.places(HOST), 0, -1, withscores=True)
    table.redis.zadd(table.keys.places(HOST), {token: ends + 3_600_000})
    with guard.admit(lease(brief, "next")):
        assert guard.circuit(HOST).places_taken == 1
