"""One run of `mezcal warm`: queues missing derivatives, and follows their jobs to the end."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from mezcal.commands.terminal.exit_codes import INTERRUPTED, OK, PROBLEMS
from mezcal.commands.terminal.interrupts import Interrupts
from mezcal.commands.terminal.next_steps import print_if_short_lived, print_steps
from mezcal.commands.terminal.printable import printable
from mezcal.commands.terminal.progress_bar import LEFT, progress_bar
from mezcal.derive import recipe_versions
from mezcal.errors import BrokerDown
from mezcal.ingest.lists import in_batches
from mezcal.ingest.manifests import Skipped
from mezcal.ingest.revalidation import is_outdated
from mezcal.jobs.bulk.chunks import SIZE
from mezcal.jobs.bulk.follow_up import BulkFollowUp
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mezcal.commands.terminal.progress_bar import ProgressBar
    from mezcal.errors import Failure
    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings
    from mezcal.store import Store

READ_SECONDS = 2.0  # a list that comes slowly is queued in parts of so many seconds
POLL_SECONDS = 0.5  # between two questions what has ended
QUEUED_AT_ONCE = 20 * SIZE  # jobs; a worker queues the rest when the bulk lane has room
BROKER_PATIENCE = 60.0  # seconds to wait for a broker that cannot be reached
LINES_MAX = 20  # of failed masters, and of skipped ones; the rest is counted only
REASON_MAX = 1000  # characters
STORE_THREADS = 32  # questions at once to a store over the network


@dataclass
class WarmCounts:
    """How many of the named masters were cached, queued, made and so on."""

    named: int = 0
    cached: int = 0
    outdated: int = 0  # of those that are queued
    queued: int = 0
    made: int = 0
    failed: int = 0
    skipped: int = 0

    def summary(self, missing: int = 0) -> str:
        """Returns the counts as one line, with those *missing* of a rehearsal."""
        unfinished = self.queued - self.made - self.failed
        parts = {
            "cached": self.cached,
            "made": self.made,
            "queued": unfinished,
            "failed": self.failed,
            "missing": missing,
        }
        counted = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
        others = {"outdated": self.outdated, "skipped": self.skipped}
        return (
            f"{self.named:,} named"
            + (f": {counted}" if counted else "")
            + "".join(f"; {count:,} {name}" for name, count in others.items() if count)
        )

    @property
    def exit_code(self) -> int:
        """The exit code of a run with these counts."""
        return PROBLEMS if self.failed or self.skipped else OK


def warm(
    named: Iterator[Recipe | Skipped], jobs: Jobs, store: Store, settings: Settings, *, wait: bool, cancel: bool
) -> int:
    """Queue those of *named* that are missing or outdated. Returns the exit code.

    With *wait*, wait until all jobs have ended. Ctrl-C leaves the jobs queued, or withdraws them with *cancel*.
    Raises `BrokerDown`.
    """
    interrupts, counts = Interrupts(), WarmCounts()
    follow_up = BulkFollowUp(jobs, store)
    with interrupts.raised():
        try:
            with progress_bar("warm") as bar:
                run = WarmRun(
                    StoredVersions(store, recipe_versions(settings)), follow_up, counts, interrupts, bar, wait
                )
                run.queue_missing(named)
                if wait:
                    run.follow()
        except BrokerDown:
            print(f"stopped by an error: {counts.summary()}")
            raise
        except KeyboardInterrupt:
            print(f"stopped: {counts.summary()}", flush=True)
            if cancel:
                print(_withdraw(follow_up))
            return INTERRUPTED
    print_steps(run.failed_classes, settings)
    for failure in run.failed_classes.values():
        print_if_short_lived(failure, jobs.listed_seconds(failure))
    print(counts.summary())
    return counts.exit_code


def rehearse(named: Iterator[Recipe | Skipped], store: Store, settings: Settings) -> int:
    """Print for each of *named* whether it is cached or outdated, and queue nothing. Returns the exit code."""
    counts, versions = WarmCounts(), StoredVersions(store, recipe_versions(settings))
    missing = 0
    for item in named:
        if isinstance(item, Skipped):
            counts.skipped += 1
            print(_skipped_line(item))
            continue
        state = versions.state(item)
        counts.named += 1
        counts.cached += state is StoredState.CACHED
        counts.outdated += state is StoredState.OUTDATED
        missing += state is StoredState.MISSING
        print(f"{state}  {printable(item.label)}")
    print(counts.summary(missing))
    return counts.exit_code


class StoredState(StrEnum):
    """What the store has of a recipe, as a dry run prints it."""

    MISSING = "missing"
    OUTDATED = "outdated"  # other settings made it
    CACHED = "cached"


@dataclass(frozen=True, slots=True)
class StoredVersions:
    """Compares what is in *store* with *versions*, those of the settings of now by the names of profiles."""

    store: Store
    versions: Mapping[str, str]

    def state(self, recipe: Recipe) -> StoredState:
        """Returns the state of *recipe*. An image without a sidecar, as umd-lib/mezcal made them, is cached."""
        described = self.store.describe(recipe)
        if described is None:
            return StoredState.MISSING
        sidecar = described.sidecar
        if sidecar is None or not isinstance(recipe, Mezzanine):  # the key of a thumbnail has its version
            return StoredState.CACHED
        outdated = is_outdated(sidecar, self.versions.get(recipe.profile.name))
        return StoredState.OUTDATED if outdated else StoredState.CACHED


@dataclass
class WarmRun:
    """One run of the command."""

    versions: StoredVersions
    follow_up: BulkFollowUp
    counts: WarmCounts
    interrupts: Interrupts
    bar: ProgressBar
    wait: bool
    failed_classes: dict[str, Failure] = field(default_factory=dict)  # one failure of each class
    reasons: list[str] = field(default_factory=list)  # those printed why jobs wait, each once
    broker_answered: float = field(default_factory=time.monotonic)  # when it last did

    def queue_missing(self, named: Iterator[Recipe | Skipped]) -> None:
        """Queue those of *named* that are missing or outdated, while the list is read."""
        for items in in_batches(named, SIZE, READ_SECONDS):
            self._report_skipped([item for item in items if isinstance(item, Skipped)])
            recipes = list(dict.fromkeys(item for item in items if not isinstance(item, Skipped)))
            states = self._states(recipes)
            for state in StoredState:
                self._retry_broker(partial(self._queue, [one for one in recipes if states[one] is state], state))
            if self.wait and time.monotonic() - self.broker_answered >= POLL_SECONDS:
                self._retry_broker(self._count_ended)
            self._show()

    def follow(self) -> None:
        """Return when all queued jobs have ended."""
        self._show()
        while self.follow_up.count():
            self._retry_broker(self._count_ended)
            self._show()
            if self.follow_up.count():
                time.sleep(POLL_SECONDS)

    def _states(self, recipes: list[Recipe]) -> dict[Recipe, StoredState]:
        """Returns the states of *recipes*. To ask the store costs a hundredth of a job."""
        with ThreadPoolExecutor(STORE_THREADS) as pool:
            return dict(zip(recipes, pool.map(self.versions.state, recipes), strict=True))

    def _count_ended(self) -> None:
        for ended in self.follow_up.read_ended():
            if ended.failure is None:
                self.counts.made += 1
            else:
                self._report_failed(ended.recipe, ended.failure)
        self._report_delayed()

    def _report_delayed(self) -> None:
        """Print each reason why jobs wait for their next attempt, once, with the first job that has it."""
        for recipe, failure in self.follow_up.reasons() if self.follow_up.delayed() else ():
            reason = printable(f"{failure.slug}: {failure.detail}", REASON_MAX)
            if reason not in self.reasons and len(self.reasons) < LINES_MAX:
                self.reasons.append(reason)
                self.bar.print_line(f"delayed  {recipe.key}  {printable(recipe.label)}  {reason}")

    def _report_failed(self, recipe: Recipe, failure: Failure) -> None:
        self.counts.failed += 1
        self.failed_classes[failure.slug] = failure
        if self.counts.failed <= LINES_MAX:
            reason = printable(f"{failure.slug}: {failure.detail}", REASON_MAX)
            self.bar.print_line(f"failed  {recipe.key}  {printable(recipe.label)}  {reason}")
        if self.counts.failed == LINES_MAX:
            self.bar.print_line("further failures are counted only: `mezcal failures` lists them")

    def _queue(self, recipes: list[Recipe], state: StoredState) -> None:
        """Count *recipes*, which are all in *state*, and queue them unless they are cached."""
        counts, outdated = self.counts, state is StoredState.OUTDATED
        if state is StoredState.CACHED:
            counts.cached += len(recipes)
        else:
            self.follow_up.hand_over(recipes, at_once=counts.queued < QUEUED_AT_ONCE, outdated=outdated)
            counts.queued += len(recipes)
        counts.outdated += len(recipes) if outdated else 0
        counts.named += len(recipes)

    def _retry_broker(self, action: Callable[[], None]) -> None:
        """Do *action*, again until the broker answers, BROKER_PATIENCE at most. A signal is obeyed between attempts."""
        while True:
            try:
                with self.interrupts.delayed():
                    action()
            except BrokerDown:
                if time.monotonic() - self.broker_answered > BROKER_PATIENCE:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                self.broker_answered = time.monotonic()
                return

    def _report_skipped(self, skipped: list[Skipped]) -> None:
        for item in skipped:
            self.counts.skipped += 1
            if self.counts.skipped <= LINES_MAX:
                self.bar.print_line(_skipped_line(item))
            if self.counts.skipped == LINES_MAX:
                self.bar.print_line("further skipped lines are counted only: --dry-run lists them")

    def _show(self) -> None:
        counts = self.counts
        if self.wait and counts.queued:
            shown = {"failed": counts.failed, "cached": counts.cached, "skipped": counts.skipped}
            self.bar.show(counts.made + counts.failed, counts.queued, left=_left(self.follow_up.delayed()), **shown)
        else:
            self.bar.show(counts.named, cached=counts.cached, skipped=counts.skipped)


def _left(delayed: int) -> str:
    """Returns what the bar shows of the time that is left, while so many jobs are *delayed*."""
    if delayed:
        return f"{delayed:,} {'waits for its' if delayed == 1 else 'wait for their'} next attempt"
    return LEFT


def _skipped_line(skipped: Skipped) -> str:
    return f"skipped  {printable(skipped.what)}: {printable(skipped.why, REASON_MAX)}"


def _withdraw(follow_up: BulkFollowUp) -> str:
    """Withdraw the jobs that have not started. Returns a line that counts them."""
    before = follow_up.count()
    try:
        withdrawn = follow_up.withdraw()
        if follow_up.being_queued():
            print("waiting for a worker that is queueing some of them", file=sys.stderr)
        while follow_up.being_queued():
            time.sleep(POLL_SECONDS)
        withdrawn += follow_up.withdraw()  # what the worker has queued
    except KeyboardInterrupt:
        return "the jobs that are not withdrawn yet stay queued"
    rest = before - withdrawn
    return f"{withdrawn:,} withdrawn" + (f"; {rest:,} had started, had ended, or others want them" if rest else "")
