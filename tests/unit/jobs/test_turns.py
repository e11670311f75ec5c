"""The interactive lane is dealt to clients by turns, on a real broker."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mezcal.errors import MasterMissing
from mezcal.jobs import JobState, Lane, Worker, WorkerRegistry
from mezcal.jobs.state import progress
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.records import Verdict
from mezcal.jobs.state.table import HeldBack, JobTable, digest
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs import Claim
    from tests.support.broker import Broker

POLICY = JobPolicy(lease=60, max_attempts=3, client_max=50)


@pytest.fixture
def table(broker: Broker) -> JobTable:
    return JobTable(broker.client(), Keys(f"{uuid4().hex}:"), POLICY)


def ask(table: JobTable, client: str, name: str) -> Verdict:
    return table.ensure(Mezzanine.parse(name), Lane.INTERACTIVE, client=client).verdict


def next_one(table: JobTable, message: str = "m") -> str:
    claim = table.begin_next("w", message)
    return claim.recipe["path"] if claim else ""


def rest(table: JobTable) -> list[str]:
    """Begin all queued jobs. Returns their paths in this order."""
    begun = []
    while name := next_one(table):
        begun.append(name)
    return begun


def test_the_jobs_of_one_client_are_made_in_their_order(table: JobTable) -> None:
    for number in range(5):
        ask(table, "a", f"a/{number}")
    assert rest(table) == [f"a/{number}" for number in range(5)]
    assert next_one(table) == ""


def test_a_new_client_is_next_however_many_jobs_another_has(table: JobTable) -> None:
    for number in range(20):
        ask(table, "a", f"a/{number}")
    assert next_one(table) == "a/0"
    ask(table, "b", "b/0")
    ask(table, "b", "b/1")
    assert [next_one(table) for _ in range(4)] == ["a/1", "b/0", "a/2", "b/1"]


def test_a_client_that_asks_for_one_image_after_the_other_gains_no_turns_by_it(table: JobTable) -> None:
    for number in range(20):
        ask(table, "a", f"a/{number}")
    begun = []
    for number in range(6):
        ask(table, "b", f"b/{number}")
        begun += [next_one(table), next_one(table)]
    assert Counter(name[0] for name in begun) == {"a": 6, "b": 6}


def test_jobs_without_a_client_are_made_in_their_order_and_hold_nobody_up(table: JobTable) -> None:
    for number in range(4):
        ask(table, "", f"free/{number}")
    for number in range(4):
        ask(table, "a", f"a/{number}")
    assert rest(table) == [*(f"free/{number}" for number in range(4)), *(f"a/{number}" for number in range(4))]


def test_a_client_that_joins_need_not_wait_for_the_other_clients_turn(table: JobTable) -> None:
    for number in range(10):
        ask(table, "a", f"a/{number}")
    assert ask(table, "b", "a/9") is Verdict.JOINED
    assert [next_one(table) for _ in range(3)] == ["a/0", "a/9", "a/1"]


def test_a_client_that_joins_delays_no_job_and_makes_it_no_second_time(table: JobTable) -> None:
    ask(table, "a", "a/0")
    for number in range(5):
        ask(table, "b", f"b/{number}")
    ask(table, "b", "a/0")
    ask(table, "a", "a/0")
    begun = rest(table)
    assert begun[0] == "a/0"
    assert sorted(begun) == ["a/0", *(f"b/{number}" for number in range(5))]


def test_a_promoted_bulk_job_takes_the_clients_turn(table: JobTable) -> None:
    table.ensure(Mezzanine.parse("a/1"), Lane.BULK)
    ask(table, "a", "a/0")
    assert ask(table, "a", "a/1") is Verdict.PUBLISH
    assert rest(table) == ["a/0", "a/1"]


def test_a_bulk_job_has_no_turn(table: JobTable) -> None:
    table.ensure(Mezzanine.parse("bulk"), Lane.BULK)
    assert next_one(table) == ""
    assert table.begin(Mezzanine.parse("bulk").key, "w") is not None


def test_a_client_past_its_share_of_the_queue_is_refused_and_nothing_is_queued(table: JobTable) -> None:
    narrow = JobTable(table.redis, table.keys, replace(POLICY, client_max=3))
    assert [ask(narrow, "a", f"a/{number}") for number in range(4)] == [Verdict.PUBLISH] * 3 + [Verdict.OVER_SHARE]
    assert narrow.read(Mezzanine.parse("a/3").key) is None
    assert ask(narrow, "a", "a/2") is Verdict.JOINED, "a join needs no place"
    assert ask(narrow, "b", "b/0") is Verdict.PUBLISH
    assert ask(narrow, "", "free") is Verdict.PUBLISH
    assert next_one(narrow) == "a/0"
    assert ask(narrow, "a", "a/3") is Verdict.PUBLISH


def test_a_refused_client_hears_how_long_a_turn_lasts(table: JobTable) -> None:
    narrow = JobTable(table.redis, table.keys, replace(POLICY, client_max=2))
    ask(narrow, "a", "a/0")
    ask(narrow, "a", "a/1")
    over = Mezzanine.parse("a/9")
    assert narrow.ensure(over, Lane.INTERACTIVE, client="a").pause is None
    next_one(narrow)
    ask(narrow, "a", "a/2")
    narrow.redis.hset(narrow.keys.round, mapping={"since": 1000, "ms": 4000})
    result = narrow.ensure(over, Lane.INTERACTIVE, client="a")
    assert result.verdict is Verdict.OVER_SHARE
    assert result.pause is not None
    assert result.pause > 4, "it lasts longer than usual"


def test_the_job_of_a_lost_process_takes_its_clients_next_turn(table: JobTable) -> None:
    for number in range(3):
        ask(table, "a", f"a/{number}")
    ask(table, "b", "b/0")
    assert [next_one(table, "m1"), next_one(table, "m2")] == ["a/0", "b/0"]
    table.process_died("m1")
    table.process_died("m2")
    assert rest(table) == ["a/1", "b/0", "a/2", "a/0"]


def test_a_job_that_redis_lost_the_turn_of_is_made_all_the_same(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.jobs.state.table.GRACE_MS", -1)
    ask(table, "a", "a/0")
    table.redis.delete(table.keys.turns)
    assert next_one(table) == ""
    assert [message.recipe["path"] for message in table.reap()] == ["a/0"]
    assert next_one(table) == "a/0"


def test_the_place_in_the_queue_is_that_of_the_turn(table: JobTable) -> None:
    for number in range(5):
        ask(table, "a", f"a/{number}")
    ask(table, "b", "b/0")
    table.ensure(Mezzanine.parse("bulk"), Lane.BULK)
    places = [progress.place(table, Mezzanine.parse(name).key) for name in ("a/0", "b/0", "a/4", "bulk")]
    assert places == [1, 2, 6, 7]


def test_a_claim_has_the_headers_of_the_request_for_the_job(table: JobTable) -> None:
    table.ensure(Mezzanine.parse("a"), Lane.INTERACTIVE, headers={"mezcal_request": "r1"})
    claim = table.begin_next("w")
    assert claim is not None
    assert claim.headers == {"mezcal_request": "r1"}


def test_redis_keeps_nothing_of_clients_without_queued_jobs(table: JobTable) -> None:
    for number in range(3):
        ask(table, f"client {number}", f"{number}")
    assert all("client" not in name for name in table.redis.zrange(table.keys.clients, 0, -1)), "no address is kept"
    assert all(table.redis.ttl(key) > 0 for key in (table.keys.turns, table.keys.clients))
    rest(table)
    assert not table.redis.exists(table.keys.turns, table.keys.clients)
    assert 0 < table.redis.pttl(table.keys.askers) <= 5000


@pytest.fixture
def shared(table: JobTable) -> JobTable:
    """A table of which one client may have three of four processes while others ask, too."""
    registry = WorkerRegistry(table.redis, table.keys)
    registry.heartbeat(Worker("all", 3, ("interactive", "bulk")))
    registry.heartbeat(Worker("interactive", 1, ("interactive",)))
    return JobTable(table.redis, table.keys, replace(POLICY, client_share=0.75))


def test_a_client_gets_all_processes_while_nobody_else_asks(shared: JobTable) -> None:
    for number in range(5):
        ask(shared, "a", f"a/{number}")
    assert [next_one(shared) for _ in range(4)] == [f"a/{number}" for number in range(4)]


@pytest.mark.parametrize("other", ["b", ""])
def test_a_process_is_kept_free_while_others_ask_too(shared: JobTable, other: str) -> None:
    ask(shared, other, "b/0")
    first = shared.begin_next("w")
    assert first is not None
    shared.finish(first)
    for number in range(5):
        ask(shared, "a", f"a/{number}")
    claims = [shared.begin_next("w") for _ in range(3)]
    with pytest.raises(HeldBack):
        shared.begin_next("w")
    ask(shared, other, "b/1")
    second = shared.begin_next("w")
    assert second is not None
    assert second.recipe["path"] == "b/1"
    for ended in (claims[0], second):
        assert ended is not None
        shared.finish(ended)
    assert next_one(shared) == "a/3"


def test_many_jobs_of_a_client_at_its_limit_hide_none_of_another(shared: JobTable) -> None:
    """Their turns stay before those of the other client: more than are read at once."""
    many = JobTable(shared.redis, shared.keys, replace(shared.policy, client_max=1000))
    ask(many, "b", "b/0")
    for number in range(450):
        ask(many, "a", f"a/{number}")
    claims = [many.begin_next("w") for _ in range(3)]  # b, a, a
    assert claims[0] is not None
    many.finish(claims[0])
    assert next_one(many) == "a/2"
    many.redis.hset(many.keys.round, "turn", 10_000)
    ask(many, "b", "b/last")
    assert next_one(many) == "b/last"


def test_the_kept_process_is_used_again_when_the_others_have_gone(shared: JobTable) -> None:
    ask(shared, "b", "b/0")
    for number in range(5):
        ask(shared, "a", f"a/{number}")
    assert [next_one(shared) for _ in range(3)] == ["b/0", "a/0", "a/1"]
    with pytest.raises(HeldBack):
        next_one(shared)
    shared.redis.zadd(shared.keys.askers, {digest("b"): 1000})
    assert next_one(shared) == "a/2"


def test_jobs_without_a_client_are_never_held_back(shared: JobTable) -> None:
    ask(shared, "b", "b/0")
    for number in range(5):
        ask(shared, "", f"free/{number}")
    assert len(rest(shared)) == 6


def test_a_full_share_holds_nothing_back(shared: JobTable) -> None:
    whole = JobTable(shared.redis, shared.keys, POLICY)
    ask(whole, "b", "b/0")
    for number in range(5):
        ask(whole, "a", f"a/{number}")
    assert len(rest(whole)) == 6


class Course:
    """Any sequence of events of four clients, and what must hold after each of them."""

    def __init__(self, broker: Broker) -> None:
        self.table = JobTable(broker.client(), Keys(f"{uuid4().hex}:"), POLICY)
        self.names = count()
        self.asked: set[str] = set()
        self.ended: set[str] = set()
        self.claims: list[tuple[str, Claim]] = []

    def start(self, client: str) -> None:
        self._ask(client, f"{next(self.names)}")

    def join(self, client: str) -> None:
        if self.asked:
            self._ask(client, max(self.asked))

    def _ask(self, client: str, name: str) -> None:
        if ask(self.table, client, name) in {Verdict.PUBLISH, Verdict.JOINED}:
            self.asked.add(name)
            self.ended.discard(name)

    def begin(self, _: str) -> None:
        message = f"m{next(self.names)}"
        if claim := self.table.begin_next("w", message):
            self.claims.append((message, claim))

    def finish(self, _: str) -> None:
        if self.claims and self.table.finish(claim := self.claims.pop(0)[1]):
            self.ended.add(claim.recipe["path"])

    def fail(self, _: str) -> None:
        if self.claims and self.table.fail(claim := self.claims.pop(0)[1], MasterMissing("gone")):
            self.ended.add(claim.recipe["path"])

    def die(self, _: str) -> None:
        if self.claims:
            self.table.give_back(self.claims.pop(0)[0])

    def delay(self, _: str) -> None:
        if self.claims:
            self.table.delay(self.claims.pop(0)[1], 0)
            self.table.reap()

    def forget(self, _: str) -> None:
        if self.asked:
            self.table.forget(Mezzanine.parse(name := min(self.asked)).key)
            self.ended.add(name)


EVENTS = ("start", "start", "join", "begin", "finish", "fail", "die", "delay", "forget")
STEPS = st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from(["", "a", "b", "c"])), max_size=50)


@settings(max_examples=60)
@given(steps=STEPS)
def test_every_job_is_begun_for_any_sequence_of_events(broker: Broker, steps: list[Any]) -> None:
    course = Course(broker)
    for what, client in steps:
        getattr(course, what)(client)
        queued = course.table.redis.zrange(course.table.keys.queued(Lane.INTERACTIVE), 0, -1)
        assert sorted(queued) == sorted(course.table.redis.zrange(course.table.keys.turns, 0, -1))
    while course.claims:
        course.finish("")
    course.table.reap()
    while claim := course.table.begin_next("w"):
        assert course.table.finish(claim)
        course.ended.add(claim.recipe["path"])
    assert course.ended == course.asked
    assert {course.table.states([Mezzanine.parse(name).key])[0] for name in course.asked} <= {
        None,
        JobState.DONE,
        JobState.FAILED,
    }


@settings(max_examples=60)
@given(jobs=st.lists(st.sampled_from("abcde"), min_size=1, max_size=60))
def test_each_of_n_clients_with_queued_jobs_gets_one_of_n_turns(broker: Broker, jobs: list[str]) -> None:
    """However the requests come: while so many clients have queued jobs, each round has one job of each."""
    table = JobTable(broker.client(), Keys(f"{uuid4().hex}:"), POLICY)
    for number, client in enumerate(jobs):
        ask(table, client, f"{client}/{number}")
    begun = rest(table)
    left = Counter(jobs)
    while begun:
        clients = {client for client, number in left.items() if number}
        turns, begun = begun[: len(clients)], begun[len(clients) :]
        assert {name[0] for name in turns} == clients
        left -= Counter(clients)
    for client in set(jobs):
        own = [f"{client}/{number}" for number, asker in enumerate(jobs) if asker == client]
        assert own == sorted(own, key=lambda name: int(name[2:]))


@settings(max_examples=40)
@given(picks=st.lists(st.sampled_from(["a", "b", "c", "pick"]), max_size=60))
def test_a_newcomer_waits_for_two_turns_of_each_other_client_at_most(broker: Broker, picks: list[str]) -> None:
    table = JobTable(broker.client(), Keys(f"{uuid4().hex}:"), POLICY)
    for number, what in enumerate(picks):
        next_one(table) if what == "pick" else ask(table, what, f"{what}/{number}")
    ask(table, "new", "new")
    before = rest(table)
    before = before[: before.index("new")]
    assert all(number <= 2 for number in Counter(name[0] for name in before).values())
