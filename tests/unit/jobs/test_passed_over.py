"""Jobs that have to wait are passed over at a cost that does not grow with their number, on a real broker."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mezcal.jobs import Lane, Worker, WorkerRegistry
from mezcal.jobs.state import progress
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy, OriginLimits
from mezcal.jobs.state.records import QueueRequest
from mezcal.jobs.state.table import HeldBack, JobTable, digest
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs import Claim
    from tests.support.broker import Broker

SLOW, FAST, REST = OriginLimits("slow", "slow/", 1), OriginLimits("fast", "fast/", 9), OriginLimits("")
ORIGINS = JobPolicy(lease=60, several=(SLOW, FAST, REST))
CLIENTS = JobPolicy(lease=60, client_share=0.5)
MASTERS = JobPolicy(lease=60, origins={"mezzanine": "repository.example"})
BEFORE = JobPolicy(lease=60)  # writes what versions without queues of turns wrote
COMMANDS_MAX = 150  # of one begin that looks at few jobs
SCRIPT_MAX = 10_000  # commands of one begin, which looks at 500 jobs at most


@pytest.fixture
def table(broker: Broker) -> JobTable:
    return JobTable(broker.client(), Keys(f"{uuid4().hex}:"), ORIGINS)


def with_policy(table: JobTable, policy: JobPolicy) -> JobTable:
    return JobTable(table.redis, table.keys, policy)


def queue(table: JobTable, *paths: str, client: str = "") -> None:
    queue_all(table, [Mezzanine.parse(path) for path in paths], client)


def queue_all(table: JobTable, recipes: list[Mezzanine], client: str = "") -> None:
    table.queue([QueueRequest(recipe, client=client) for recipe in recipes], Lane.INTERACTIVE)


def begun(table: JobTable) -> Claim:
    claim = table.begin_next("w")
    assert claim is not None
    return claim


def next_path(table: JobTable) -> str | None:
    claim = table.begin_next("w")
    return claim.recipe["path"] if claim else None


def rest(table: JobTable) -> list[str]:
    """Begin and end one job after the other. Returns their paths in this order."""
    paths = []
    while claim := table.begin_next("w"):
        paths.append(claim.recipe["path"])
        table.finish(claim)
        table.let_go(claim)
    return paths


def commands(table: JobTable) -> tuple[int, str | None]:
    """Begin the next job. Returns the commands that Redis ran for it, and the path; None if it is to be asked again."""
    path = None
    table.redis.config_resetstat()
    with suppress(HeldBack):
        path = next_path(table)
    stats = table.redis.info("commandstats")
    return sum(command["calls"] for command in stats.values()), path


def queues(table: JobTable) -> dict[str, dict[str, float]]:
    """Returns the jobs of each queue of turns, with their turns, by its name."""
    names, found = [""], {}
    for name in names:
        suffix = f":{name}" if name else ""
        names += cast("list[str]", table.redis.zrange(f"{table.keys.turn_queues}{suffix}", 0, -1))
        turns = table.redis.zrange(f"{table.keys.turns}{suffix}", 0, -1, withscores=True)
        found[name] = dict(cast("list[tuple[str, float]]", turns))
    return found


def has_turns(table: JobTable) -> bool:
    """Returns True if Redis keeps anything of turns."""
    return bool(table.redis.keys(f"{table.keys.turns}*"))


# --- the cost


def test_a_begin_costs_the_same_however_many_jobs_of_a_full_origin_come_first(table: JobTable) -> None:
    queue(table, *(f"slow/{number}" for number in range(5000)))
    queue(table, *(f"fast/{number}" for number in range(3)))
    assert next_path(table) == "slow/0"
    for number in range(3):
        cost, path = commands(table)
        assert path == f"fast/{number}"
        assert cost < COMMANDS_MAX
    cost, path = commands(table)
    assert path is None
    assert cost < COMMANDS_MAX, "nor does it cost more to find nothing"


def with_waiting_client(table: JobTable, jobs: int) -> tuple[JobTable, str]:
    """Queue so many jobs of a client that has all processes that it may have, and one of another client behind them."""
    shared = with_policy(table, CLIENTS)
    WorkerRegistry(table.redis, table.keys).heartbeat(Worker("w", 2, ("interactive", "bulk")))
    queue(shared, *(f"a/{number}" for number in range(jobs)), client="a")
    assert next_path(shared) == "a/0"
    shared.redis.hset(shared.keys.round, "turn", jobs)
    queue(shared, "b", client="b")
    return shared, "b"


def with_open_master(table: JobTable, jobs: int) -> tuple[JobTable, str]:
    """Queue so many pages of a master that is downloaded now, and another master behind them."""
    one = with_policy(table, MASTERS)
    queue_all(one, [Mezzanine.parse("book", page) for page in range(1, jobs + 1)])
    assert next_path(one) == "book"
    queue(one, "other")
    return one, "other"


def with_jobs_of_a_former_version(table: JobTable, jobs: int) -> tuple[JobTable, str]:
    """Have a version without queues of turns queue so many jobs of an origin that is full now, and one of another."""
    queue(with_policy(table, BEFORE), *(f"slow/{number}" for number in range(jobs)), "fast/0")
    assert next_path(table) == "slow/0"
    return table, "fast/0"


@pytest.mark.parametrize("given_table", [with_waiting_client, with_open_master, with_jobs_of_a_former_version])
def test_jobs_that_have_to_wait_are_looked_at_once_and_not_all_at_a_time(table: JobTable, given_table: Any) -> None:
    full, expected = given_table(table, 3000)
    costs = []
    while True:
        cost, path = commands(full)
        costs.append(cost)
        if path:
            break
    assert path == expected
    assert len(costs) <= 7, "500 jobs each time"
    assert max(costs) < SCRIPT_MAX
    queue(full, "fast/again" if full is table else "again", client="c" if full.policy is CLIENTS else "")
    cost, path = commands(full)
    assert path
    assert path.endswith("again")
    assert cost < COMMANDS_MAX


# --- the order


def test_the_order_of_all_turns_is_kept_among_origins(table: JobTable) -> None:
    paths = ["fast/1", "slow/1", "other/1", "slow/2", "fast/2", "other/2"]
    queue(table, *paths)
    assert rest(table) == paths


def test_a_job_that_waited_for_two_things_is_begun_in_its_turn(table: JobTable) -> None:
    """Its client is at its limit, then its origin has no place, then both are as before."""
    both = with_policy(table, replace(ORIGINS, client_share=0.5))
    WorkerRegistry(table.redis, table.keys).heartbeat(Worker("w", 3, ("interactive", "bulk")))
    queue(both, "other/b", client="b")
    queue(both, "other/0", "slow/1", "other/1", client="a")
    claims = [begun(both), begun(both)]
    queue(both, "slow/2", client="c")
    claims.append(begun(both))
    assert [claim.recipe["path"] for claim in claims] == ["other/b", "other/0", "slow/2"]
    with pytest.raises(HeldBack):
        begun(both)
    own = f"client={digest('a')}"
    assert set(queues(both)) == {"", own, "origin=slow/", f"origin=slow/;{own}"}
    both.finish(claims[0])
    both.finish(claims[1])
    assert rest(both) == ["other/1"], "there is no place for the other one"
    assert both.redis.zrange(both.keys.held_back, 0, -1) == [Mezzanine.parse("slow/1").key], "its message was used up"
    both.finish(claims[2])
    assert rest(both) == ["slow/1"]
    assert not has_turns(both)


def test_the_place_in_the_queue_is_that_among_the_jobs_of_its_origin(table: JobTable) -> None:
    queue(table, "other", "slow/1", "slow/2", "fast/1", "slow/3")
    table.ensure(Mezzanine.parse("bulk"), Lane.BULK)
    paths = ("other", "slow/1", "slow/3", "fast/1", "bulk", "none")
    places = [progress.place(table, Mezzanine.parse(path).key) for path in paths]
    assert places == [1, 2, 4, 2, 6, None]


def test_bulk_jobs_go_on_with_an_open_master_while_a_full_origin_has_jobs_with_clients(table: JobTable) -> None:
    pages = [Mezzanine.parse("fast/book", page) for page in (1, 2, 3)]
    table.queue([QueueRequest(page) for page in pages], Lane.BULK)
    queue(table, "slow/1", "slow/2", "fast/1")
    assert next_path(table) == "slow/1"
    first = table.begin(pages[0].key, "w")
    assert first is not None
    table.finish(first)
    table.redis.hincrby(table.keys.reading(first.source), f"chain:{first.chain}", -6000)
    assert table.begin_companion(first, "w", "m", bulk=True) is None, "a client comes first"
    assert next_path(table) == "fast/1"
    assert table.begin_companion(first, "w", "m", bulk=True) is not None


class Waiting:
    """Any sequence of events of two clients and three origins, with what the next job must be."""

    PROCESSES = 5

    def __init__(self, broker: Broker) -> None:
        policy = replace(ORIGINS, client_share=0.5, several=(SLOW, replace(FAST, places=2), REST))
        self.table = JobTable(broker.client(), Keys(f"{uuid4().hex}:"), policy)
        WorkerRegistry(self.table.redis, self.table.keys).heartbeat(Worker("w", self.PROCESSES, ("interactive",)))
        self.numbers = count()
        self.paths: dict[str, str] = {}  # of all jobs, by their keys
        self.claims: list[Claim] = []

    def start(self, what: str) -> None:
        """Queue a job. *what* is a client's letter, "-" for none, and the prefix of an origin."""
        client, path = what[0].strip("-"), f"{what[1:]}{next(self.numbers)}"
        self.paths[Mezzanine.parse(path).key] = path
        queue(self.table, path, client=client)

    def known(self) -> Mezzanine:
        """Returns a recipe whose job may be in any state."""
        paths = sorted(self.paths.values()) or ["slow/first"]
        recipe = Mezzanine.parse(paths[next(self.numbers) % len(paths)])
        self.paths[recipe.key] = recipe.path
        return recipe

    def join(self) -> None:
        queue(self.table, self.known().path, client="b")

    def bulk(self) -> None:
        self.table.ensure(self.known(), Lane.BULK)

    def change(self) -> None:
        self.table.change(recipe := self.known(), Lane.INTERACTIVE)
        self.claims = [claim for claim in self.claims if claim.key != recipe.key]

    def forget(self) -> None:
        self.table.forget((recipe := self.known()).key)
        self.claims = [claim for claim in self.claims if claim.key != recipe.key]

    def end(self) -> None:
        if self.claims:
            self.table.finish(claim := self.claims.pop(0))
            self.table.let_go(claim)

    def die(self) -> None:
        if self.claims:
            self.table.delay(self.claims.pop(), 0)
            self.table.reap()

    def begin(self) -> None:
        expected = self.expected()
        claim = None
        with suppress(HeldBack):
            claim = self.table.begin_next("w")
        assert (claim.key if claim else None) == expected
        self.claims += [claim] if claim else []

    def expected(self) -> str | None:
        """Returns the job with the first turn that has not to wait."""
        turns = {job: turn for found in queues(self.table).values() for job, turn in found.items()}
        running = [self.paths[claim.key] for claim in self.claims]
        full = tuple(
            limits.prefix
            for limits in self.table.policy.several
            if limits.places and sum(path.startswith(limits.prefix) for path in running) >= limits.places
        )
        owners = [self.client_of(claim.key) for claim in self.claims]
        for key in sorted(turns, key=lambda job: turns[job]):
            if not self.paths[key].startswith(full) and not self.is_at_limit(self.client_of(key), owners):
                return key
        return None

    def client_of(self, key: str) -> str:
        return cast("str | None", self.table.redis.hget(self.table.keys.job(key), "client")) or ""

    def is_at_limit(self, client: str, running: list[str]) -> bool:
        own = running.count(client)
        others = set(self.table.redis.zrange(self.table.keys.askers, 0, -1)) - {client}
        return bool(client and own and others) and own + 1 > 0.5 * (own + self.PROCESSES - len(running))


STARTS = [f"{client}{prefix}" for client in "-ab" for prefix in ("slow/", "fast/", "")]
OTHERS = ["join", "bulk", "change", "forget", "begin", "begin", "begin", "begin", "end", "end", "die"]
STEPS = st.lists(st.sampled_from([*STARTS, *OTHERS]), max_size=40)


@settings(max_examples=40)
@given(steps=STEPS)
def test_the_next_job_is_the_first_that_has_not_to_wait(broker: Broker, steps: list[str]) -> None:
    waiting = Waiting(broker)
    for step in steps:
        waiting.start(step) if step in STARTS else getattr(waiting, step)()
    while waiting.claims or waiting.expected():
        waiting.begin()
        waiting.end()
    assert not has_turns(waiting.table), "a queue without jobs is gone"


# --- other versions, other settings, and lost keys


def begin_as_before(table: JobTable, key: str) -> None:
    """Begin a job as versions without queues of turns do: they find its turn where all turns were."""
    table.redis.zrem(table.keys.turns, key)
    table.redis.zrem(table.keys.queued(Lane.INTERACTIVE), key)
    table.redis.hset(table.keys.job(key), mapping={"state": "running", "token": "1", "attempts": 1})
    table.redis.zadd(table.keys.running, {key: 2**52})


def test_a_job_that_a_former_version_queued_is_begun_in_its_turn(table: JobTable) -> None:
    queue(with_policy(table, BEFORE), "slow/1", "slow/2", "fast/1")
    queue(table, "slow/3", "fast/2")
    first = begun(table)
    assert [next_path(table) for _ in range(3)] == ["fast/1", "fast/2", None]
    table.finish(first)
    assert rest(table) == ["slow/2", "slow/3"]


def test_a_job_that_a_former_version_began_is_not_begun_twice(table: JobTable) -> None:
    queue(table, "slow/1", "slow/2")
    key = Mezzanine.parse("slow/1").key
    table.redis.zadd(table.keys.turns, {key: 1})  # its reaper gives it a turn where it looks for one
    begin_as_before(table, key)
    assert next_path(table) is None
    table.forget(key)
    assert rest(table) == ["slow/2"]
    assert not has_turns(table)


def test_a_job_with_a_second_turn_of_a_former_version_is_begun_once(table: JobTable) -> None:
    queue(table, "slow/1", "slow/2")
    table.redis.zadd(table.keys.turns, {Mezzanine.parse("slow/2").key: 3})
    assert rest(table) == ["slow/1", "slow/2"]
    assert not has_turns(table)


@pytest.mark.parametrize(
    "several",
    [
        pytest.param((replace(SLOW, name="renamed"), FAST, REST), id="renamed"),
        pytest.param((replace(SLOW, name="fast"), replace(FAST, name="slow"), REST), id="names exchanged"),
        pytest.param((replace(SLOW, prefix="slow/inner/"), FAST, REST), id="prefix moved"),
        pytest.param((replace(SLOW, prefix="s"), FAST, REST), id="prefix shortened"),
        pytest.param((FAST, REST), id="removed"),
        pytest.param((), id="one origin"),
    ],
)
def test_no_queued_job_is_stranded_by_other_origins(table: JobTable, several: tuple[OriginLimits, ...]) -> None:
    paths = [f"{prefix}{number}" for number in range(3) for prefix in ("slow/", "slow/inner/", "fast/", "rest/")]
    queue(table, *paths)
    claims = [begun(table) for _ in range(3)]
    after = with_policy(table, replace(ORIGINS, several=several))
    paths = [path for path in paths if path not in {claim.recipe["path"] for claim in claims}]
    for claim in claims:
        after.finish(claim)
        after.let_go(claim)
    assert rest(after) == paths
    assert not has_turns(after)


def test_a_moved_prefix_has_the_places_of_its_new_origin(table: JobTable) -> None:
    """Its jobs are looked at once, though they are in the queue of their former origin."""
    queue(table, *(f"fast/{number}" for number in range(3)), "rest")
    after = with_policy(table, replace(ORIGINS, several=(replace(SLOW, prefix="f"), REST)))
    first = begun(after)
    assert next_path(after) == "rest"
    assert set(queues(after)) == {"", "origin=fast/", "origin=fast/;origin=f"}
    after.finish(first)
    after.let_go(first)
    assert rest(after) == ["fast/1", "fast/2"]


@pytest.mark.parametrize("lost", ["turns:queues", "turns:origin=slow/", "turns*"])
def test_jobs_whose_turns_redis_lost_are_begun(table: JobTable, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    monkeypatch.setattr("mezcal.jobs.state.table.GRACE_MS", -1)
    queue(table, "slow/1", "slow/2")
    table.redis.delete(*table.redis.keys(f"{table.keys.prefix}{lost}"))
    assert next_path(table) is None
    assert len(table.reap()) == 2
    assert sorted(rest(table)) == ["slow/1", "slow/2"]


def test_a_bulk_job_of_a_former_version_gets_its_place_when_a_client_asks(table: JobTable) -> None:
    with_policy(table, BEFORE).ensure(Mezzanine.parse("slow/1"), Lane.BULK)
    queue(table, "slow/1", client="a")
    assert queues(table).keys() == {"", "origin=slow/"}
    assert table.redis.zrange(table.keys.clients, 0, -1) == [digest("a")]


def test_with_one_origin_all_turns_are_where_they_were(table: JobTable) -> None:
    one = with_policy(table, MASTERS)
    queue(one, "a", "b", client="a")
    assert one.redis.keys(f"{one.keys.turns}*") == [one.keys.turns]
    assert not {"origin", "turns"} & set(one.redis.hkeys(one.keys.job(Mezzanine.parse("a").key)))
