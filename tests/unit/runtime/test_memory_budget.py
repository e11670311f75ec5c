"""The memory of one worker, shared by real processes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

from mezcal.errors import TooLarge
from mezcal.runtime import memory_budget, resources
from mezcal.runtime.memory_budget import IDLE, INHERITED, MAIN, MIB, SECOND, STREAMING, MemoryBudget, budget, processes
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOTAL = 1000


class Pool:
    """A budget of 1000 bytes, and processes that take of it."""

    def __init__(self, folder: Path) -> None:
        self.budget = MemoryBudget(TOTAL)
        self.log = folder / "log"
        self.log.touch()
        self.actors: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *sizes: int, rank: int = 0, lines: IO[str] | int | None = subprocess.PIPE) -> None:
        arguments = [self.budget.fileno(), TOTAL, self.log, name, rank, *sizes]
        words = [sys.executable, "-m", "tests.unit.runtime.memory_actor", *map(str, arguments)]
        self.actors[name] = subprocess.Popen(words, stdin=lines, text=True, pass_fds=[self.budget.fileno()], bufsize=1)

    def logged(self, text: str) -> bool:
        return any(line.startswith(text) for line in self.log.read_text().splitlines())

    def hears(self, text: str) -> None:
        until(lambda: self.logged(text), what=text)

    def let_go(self, name: str) -> None:
        stdin = self.actors[name].stdin
        assert stdin is not None
        stdin.write("\n")

    def waits(self, name: str) -> None:
        """Wait until the row of *name* shows that it waits for memory."""
        self.hears(f"{name} asks")
        count = sum(" asks " in line for line in self.log.read_text().splitlines())
        until(lambda: len([row for row in self.rows() if row.stage != memory_budget.ClaimStage.FREE]) >= min(count, 3))
        assert not self.logged(f"{name} has")

    def rows(self) -> list[memory_budget.Row]:
        return self.budget._rows()

    def close(self) -> None:
        for actor in self.actors.values():
            if actor.stdin is not None:
                actor.stdin.close()
            actor.wait(10)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    running = Pool(tmp_path)
    yield running
    running.close()


def test_what_many_hold_at_once_is_never_more_than_the_budget(pool: Pool) -> None:
    chance = random.Random(5)
    sizes = {f"p{number}": [chance.randrange(100, 900) for _ in range(12)] for number in range(6)}
    for name, asked in sizes.items():
        pool.start(name, *asked)
        for _ in asked:
            pool.let_go(name)
    for actor in pool.actors.values():
        actor.wait(60)
    seen = [line.split() for line in pool.log.read_text().splitlines() if " has " in line]
    assert len(seen) == 6 * 12
    assert max(int(words[3]) for words in seen) <= TOTAL
    assert {name: sum(words[0] == name for words in seen) for name in sizes} == dict.fromkeys(sizes, 12)
    assert pool.budget.held() == 0


def test_of_two_that_claim_the_same_memory_one_withdraws(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other claims the memory after we have seen that it is free, and before we claim it."""
    fits, looks = pool.budget._fits, []

    def slow_to_claim(at: int, size: int) -> bool:
        room = fits(at, size)
        if not looks:
            pool.start("other", 600)
            pool.hears("other has")
        looks.append(room)
        return room

    def heed(_seconds: float) -> None:
        assert pool.budget.held() == 600
        pool.let_go("other")

    monkeypatch.setattr(pool.budget, "_fits", slow_to_claim)
    with pool.budget.share(1, heed) as take:
        take(500)
        assert pool.budget.held() == 500
    assert looks[:2] == [True, False]


def test_a_killed_process_gives_its_share_back(pool: Pool) -> None:
    pool.start("first", 800)
    pool.hears("first has")
    pool.start("second", 700)
    pool.waits("second")
    assert pool.budget.held() == 800
    pool.actors["first"].send_signal(signal.SIGKILL)
    pool.hears("second has 700 700")


def test_a_process_killed_while_it_waits_does_not_block_others(pool: Pool) -> None:
    pool.start("first", 800)
    pool.hears("first has")
    pool.start("second", 900)
    pool.waits("second")
    pool.start("third", 150)
    pool.waits("third")
    pool.actors["second"].send_signal(signal.SIGKILL)
    pool.hears("third has 150 950")


def test_a_frozen_process_blocks_no_other_at_any_step(pool: Pool) -> None:
    """The process is stopped at random moments of requesting and returning memory; at the end it holds 100 at most."""
    with subprocess.Popen(["yes", ""], stdout=subprocess.PIPE, text=True) as lines:
        pool.start("restless", *[100] * 100_000, lines=lines.stdout)
        restless = pool.actors["restless"]
        pool.hears("restless has")
        for number in range(20):
            restless.send_signal(signal.SIGSTOP)
            pool.start(f"p{number}", 900)
            pool.hears(f"p{number} has 900")
            pool.let_go(f"p{number}")
            pool.hears(f"p{number} back")
            restless.send_signal(signal.SIGCONT)
        restless.kill()
        lines.kill()


def test_one_that_stopped_while_it_waited_is_overtaken_until_it_looks_again(pool: Pool) -> None:
    pool.start("first", 800)
    pool.hears("first has")
    pool.start("second", 900)
    pool.waits("second")
    pool.actors["second"].send_signal(signal.SIGSTOP)
    pool.start("third", 150)
    pool.hears("third has 150 950")
    pool.actors["second"].send_signal(signal.SIGCONT)
    pool.let_go("first")
    pool.let_go("third")
    pool.hears("second has 900 900")


def test_a_large_one_is_not_overtaken_by_small_ones(pool: Pool) -> None:
    pool.start("first", 500)
    pool.hears("first has")
    pool.start("large", 1000)
    pool.waits("large")
    pool.start("small", 10)
    pool.waits("small")
    pool.let_go("first")
    pool.hears("large has 1000 1000")
    assert not pool.logged("small has")
    pool.let_go("large")
    pool.hears("small has 10 10")


def test_who_is_waited_for_goes_before_bulk(pool: Pool) -> None:
    pool.start("first", 1000)
    pool.hears("first has")
    pool.start("bulk", 600, rank=1)
    pool.waits("bulk")
    pool.start("somebody", 600, rank=0)
    pool.waits("somebody")
    pool.let_go("first")
    pool.hears("somebody has 600 600")
    assert not pool.logged("bulk has")
    pool.let_go("somebody")
    pool.hears("bulk has 600 600")


def test_two_jobs_that_need_more_memory_do_not_wait_for_each_other() -> None:
    """A job returns its memory before it waits for more; here, the other job is in the same worker."""
    alone = MemoryBudget(TOTAL)
    with alone.share(0, lambda _seconds: None) as take:
        take(600)
        take(100)
        assert alone.held() == 600
        take(1000)
        assert alone.held() == 1000
    assert alone.held() == 0


def test_what_can_never_be_had_is_refused_with_what_there_is() -> None:
    with (
        MemoryBudget(200 * MIB).share(0, lambda _seconds: None) as take,
        pytest.raises(TooLarge, match="WORKER_MEMORY") as refused,
    ):
        take(900 * MIB)
    assert "900 MB" in refused.value.detail
    assert "200 MB" in refused.value.detail


def test_a_job_that_stops_waiting_leaves_no_row(pool: Pool) -> None:
    pool.start("first", 800)
    pool.hears("first has")

    class EnoughError(Exception):
        pass

    def heed(_seconds: float) -> None:
        raise EnoughError

    with pytest.raises(EnoughError), pool.budget.share(0, heed) as take:
        take(500)
    assert [row.size for row in pool.rows() if row.stage != memory_budget.ClaimStage.FREE] == [800]


def test_a_program_that_inherits_the_table_shares_the_budget(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MemoryBudget.inherited() is None
    monkeypatch.setenv(INHERITED, pool.budget.handed_on())
    other = MemoryBudget.inherited()
    assert other is not None
    assert other.total == pool.budget.total
    pool.start("first", 800)
    pool.hears("first has")
    assert other.held() == 800


@pytest.mark.parametrize(
    ("cores", "gib", "count"),
    [(1, 4, 2), (8, 64, 8), (8, 1, 3), (1, 0.5, 1), (8, 0.25, 1)],
)
def test_processes_suit_cores_and_memory(monkeypatch: pytest.MonkeyPatch, cores: int, gib: float, count: int) -> None:
    monkeypatch.setattr(resources, "cores", lambda: cores)
    monkeypatch.setattr(resources, "memory", lambda: int(gib * 2**30))
    assert processes(0) == count
    assert budget(count) >= STREAMING
    if gib >= 1:
        assert MAIN + SECOND + count * IDLE + budget(count, workers=2) <= gib * 2**30
    if gib >= 1:
        assert MAIN + count * (IDLE + STREAMING) <= gib * 2**30
        assert MAIN + count * IDLE + budget(count) <= gib * 2**30
