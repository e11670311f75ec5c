"""What `mezcal warm` does: hand over what is missing, and follow it."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mezcal.commands.exit_codes import STOPPED, UNWELL, WELL
from mezcal.commands.terminal.interrupts import Interrupts
from mezcal.commands.terminal.progress_bar import shown
from mezcal.errors import BrokerDown
from mezcal.ingest.lists import batches
from mezcal.ingest.manifests import Passed
from mezcal.jobs.bulk.chunks import SIZE
from mezcal.jobs.bulk.follow_up import Outstanding
from mezcal.store import LocalStore
from mezcal.telemetry.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.commands.terminal.progress_bar import Bar
    from mezcal.errors import Failure
    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import Store

READ_SECONDS = 2.0  # a slow list is handed over in small parts
LOOK_SECONDS = 0.5  # between two looks at what was handed over
AT_ONCE = 20 * SIZE  # as many are queued at once; the others' turn comes as the bulk lane has room
BROKER_PATIENCE = 60.0  # seconds for which a broker that is away is waited for
LISTED = 20  # of what failed or was passed over; the rest is counted
REASON_MOST = 1000  # characters
AT_A_TIME = 32  # questions to a store over the network


@dataclass
class WarmCounts:
    """How many of what was asked for have come to what."""

    asked: int = 0
    cached: int = 0
    handed: int = 0
    made: int = 0
    failed: int = 0
    passed: int = 0

    def told(self) -> str:
        """In one line."""
        open_ = self.handed - self.made - self.failed
        parts = {"cached": self.cached, "made": self.made, "queued": open_, "failed": self.failed}
        said = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
        passed = f"; {self.passed:,} passed over" if self.passed else ""
        return f"{self.asked:,} asked for" + (f": {said}" if said else "") + passed

    @property
    def code(self) -> int:
        """The exit code."""
        return UNWELL if self.failed or self.passed else WELL


def warm(wanted: Iterator[Recipe | Passed], jobs: Jobs, store: Store, *, wait: bool, cancel: bool) -> int:
    """Have made what is missing of *wanted*, following it to its end with *wait*; the exit code.

    Ctrl-C leaves what was handed over queued, or takes it back with *cancel*.
    """
    interrupts, tally = Interrupts(), WarmCounts()
    outstanding = Outstanding(jobs, store)
    with interrupts.heard():
        try:
            with shown("warm") as bar:
                work = Warm(store, outstanding, tally, interrupts, bar, wait)
                work.hand_over(wanted)
                if wait:
                    work.follow()
        except BrokerDown:
            print(f"broken off: {tally.told()}")
            raise
        except KeyboardInterrupt:
            print(f"stopped: {tally.told()}", flush=True)
            if cancel:
                print(_taken_back(outstanding))
            return STOPPED
    print(tally.told())
    return tally.code


def rehearse(wanted: Iterator[Recipe | Passed], store: Store) -> int:
    """Tell of each of *wanted* whether it is cached, and ask for nothing; the exit code."""
    tally = WarmCounts()
    missing = 0
    for one in wanted:
        if isinstance(one, Passed):
            tally.passed += 1
            print(_passed(one))
            continue
        there = store.find(one) is not None
        tally.asked += 1
        tally.cached += there
        missing += not there
        print(f"{'cached' if there else 'missing'}  {printable(one.label)}")
    print(f"{tally.told()}{', ' if tally.cached else ': '}{missing:,} missing")
    return tally.code


@dataclass
class Warm:
    """One run of the command."""

    store: Store
    outstanding: Outstanding
    tally: WarmCounts
    interrupts: Interrupts
    bar: Bar
    wait: bool
    seen: float = field(default_factory=time.monotonic)  # when the broker last answered

    def hand_over(self, wanted: Iterator[Recipe | Passed]) -> None:
        """Hand over what is missing of *wanted*, as it is read."""
        for some in batches(wanted, SIZE, READ_SECONDS):
            self._pass_over([one for one in some if isinstance(one, Passed)])
            recipes = list(dict.fromkeys(one for one in some if not isinstance(one, Passed)))
            missing = self._missing(recipes)
            self._persist(partial(self._hand, missing, len(recipes)))
            if self.wait and time.monotonic() - self.seen >= LOOK_SECONDS:
                self._persist(self._look)
            self._show()

    def follow(self) -> None:
        """Return when all that was handed over has ended."""
        self._show()
        while self.outstanding.count():
            self._persist(self._look)
            self._show()
            if self.outstanding.count():
                time.sleep(LOOK_SECONDS)

    def _missing(self, recipes: list[Recipe]) -> list[Recipe]:
        """Those that the store has not got; asking it is a hundredth of what a job costs that finds them there."""
        if isinstance(self.store, LocalStore):
            return [recipe for recipe in recipes if self.store.find(recipe) is None]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            found = pool.map(self.store.find, recipes)
            return [recipe for recipe, there in zip(recipes, found, strict=True) if there is None]

    def _look(self) -> None:
        """Count what has ended."""
        for ended in self.outstanding.look():
            if ended.failure is None:
                self.tally.made += 1
            else:
                self._fail(ended.recipe, ended.failure)

    def _fail(self, recipe: Recipe, failure: Failure) -> None:
        self.tally.failed += 1
        if self.tally.failed <= LISTED:
            reason = printable(f"{failure.slug}: {failure.detail}", REASON_MOST)
            self.bar.say(f"failed  {recipe.key}  {printable(recipe.label)}  {reason}")
        if self.tally.failed == LISTED:
            self.bar.say("more that fail are counted only: `mezcal failures` has them")

    def _hand(self, missing: list[Recipe], asked: int) -> None:
        """Hand over what is *missing* of so many that were *asked* for, and count all of them."""
        self.outstanding.hand_over(missing, at_once=self.tally.handed < AT_ONCE)
        self.tally.asked += asked
        self.tally.cached += asked - len(missing)
        self.tally.handed += len(missing)

    def _persist(self, attempt: Callable[[], None]) -> None:
        """Do *attempt*, a signal heeded after it; again as long as the broker is away, within BROKER_PATIENCE."""
        while True:
            try:
                with self.interrupts.unbroken():
                    attempt()
            except BrokerDown:
                if time.monotonic() - self.seen > BROKER_PATIENCE:
                    raise
                time.sleep(LOOK_SECONDS)
            else:
                self.seen = time.monotonic()
                return

    def _pass_over(self, passed: list[Passed]) -> None:
        for one in passed:
            self.tally.passed += 1
            if self.tally.passed <= LISTED:
                self.bar.say(_passed(one))
            if self.tally.passed == LISTED:
                self.bar.say("what else is passed over is counted only: --dry-run tells all of it")

    def _show(self) -> None:
        tally = self.tally
        if self.wait:
            counts = {"failed": tally.failed, "cached": tally.cached, "passed over": tally.passed}
            self.bar.show(tally.made + tally.failed, tally.handed, **counts)
        else:
            self.bar.show(tally.asked, cached=tally.cached, **{"passed over": tally.passed})


def _passed(one: Passed) -> str:
    return f"passed over  {printable(one.what)}: {printable(one.why, REASON_MOST)}"


def _taken_back(outstanding: Outstanding) -> str:
    """Take back what can be; what became of it."""
    left = outstanding.count()
    try:
        taken = outstanding.take_back()
        if outstanding.being_queued():
            print("waiting for the worker that is queueing some of them", file=sys.stderr)
        while outstanding.being_queued():
            time.sleep(LOOK_SECONDS)
        taken += outstanding.take_back()  # what it has queued
    except KeyboardInterrupt:
        return "what was not taken back yet stays queued"
    rest = left - taken
    return f"{taken:,} taken back" + (f"; {rest:,} had ended, had begun, or are wanted by others too" if rest else "")
