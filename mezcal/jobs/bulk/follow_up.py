"""Follows jobs that one process handed over in bulk until each has ended.

The list is kept compressed, as the chunks are: a million paths take 5 to 20 MB. A chunk that is not queued yet costs
one look-up. Jobs are looked up one by one only once they are queued, some 20,000 at most (`chunks.AHEAD`); and of
these only the oldest, as long as they end roughly in the order in which they were queued.
"""

from __future__ import annotations

import json
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from mezcal.errors import BrokerDown, Failure
from mezcal.jobs.bulk.chunks import SIZE
from mezcal.jobs.outages import raises_broker_down
from mezcal.jobs.state.keys import JobState
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import Store

READ_AT_ONCE = 1000  # jobs in one round trip
REASONS_READ = 20  # delayed jobs, each time
ALL_SECONDS = 10.0  # between two look-ups of all queued jobs; a done job is remembered for 60
ENDED = {JobState.DONE, JobState.FAILED, JobState.QUARANTINED}


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended; *failure* says why there is no derivative."""

    recipe: Recipe
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Packed:
    """The recipes of one chunk, compressed."""

    number: int
    body: bytes

    @classmethod
    def of(cls, recipes: list[Recipe]) -> Packed:
        """Compress *recipes*."""
        return cls(len(recipes), zlib.compress(json.dumps([recipe.as_json() for recipe in recipes]).encode(), 1))

    def unpack(self) -> Iterator[Recipe]:
        """Return the recipes."""
        return map(from_json, json.loads(zlib.decompress(self.body)))


class BulkFollowUp:
    """The jobs that this process handed over. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, jobs: Jobs, store: Store) -> None:
        self._jobs, self._store = jobs, store
        self._waiting: dict[str, Packed] = {}  # by the chunk's name
        # By the job's key, in the order of queueing: the recipe, as often as it was handed over.
        self._queued: dict[str, list[dict[str, Any]]] = {}
        self._delayed: dict[str, None] = {}  # the keys of those that wait for their next attempt, in this order
        self._all_read = time.monotonic()
        self._began = jobs.broker.clock()

    def count(self) -> int:
        """Return how many jobs have not ended, as of the last look-up."""
        waiting = sum(packed.number for packed in self._waiting.values())
        return waiting + sum(map(len, self._queued.values()))

    def hand_over(self, recipes: list[Recipe], *, at_once: bool = True, outdated: bool = False) -> None:
        """Queue *recipes* in bulk: now if *at_once*, else as the bulk lane empties.

        If they are *outdated*, their stored derivatives are replaced.
        """
        kind = "outdated" if outdated else "wanted"
        for start in range(0, len(recipes), SIZE):
            some = recipes[start : start + SIZE]
            for name in self._jobs.batches.post((kind, "recipe", recipe.as_json()) for recipe in some).chunks:
                self._waiting[name] = Packed.of(some)
                if at_once:
                    self._send(name)

    def _send(self, name: str) -> None:
        with suppress(BrokerDown):  # the workers look for chunks whose messages are missing
            self._jobs.pipe.spread(name)

    def read_ended(self) -> Iterator[Ended]:
        """Return the jobs that have ended since the last call, each as often as it was handed over."""
        self._find_queued()
        read_all = time.monotonic() - self._all_read >= ALL_SECONDS
        if read_all:
            self._all_read = time.monotonic()
        keys = iter(list(self._queued))
        while some := list(islice(keys, READ_AT_ONCE)):
            ended = self._ended(some)
            yield from ended
            if not ended and not read_all:
                return

    def delayed(self) -> int:
        """Return how many jobs wait for their next attempt, as of the last look-up."""
        return len(self._delayed)

    def reasons(self, most: int = REASONS_READ) -> list[tuple[Recipe, Failure]]:
        """Return why the first of the delayed jobs wait, if it was recorded."""
        records = self._jobs.records(list(islice(self._delayed, most)))
        return [(from_json(record.recipe), record.failure) for record in records if record.failure]

    def withdraw(self) -> int:
        """Delete the chunks and jobs that no worker has begun and no other client wants. Returns how many.

        A chunk that a worker queues at this moment is not among them: call again until `being_queued` is False.
        """
        withdrawn = 0
        for name in list(self._waiting):
            if self._jobs.chunks.withdraw(name):
                withdrawn += self._waiting.pop(name).number
        self._find_queued()
        with raises_broker_down():
            keys = iter(list(self._queued))
            while some := list(islice(keys, READ_AT_ONCE)):
                withdrawn += self._jobs.table.withdraw(some, self._began)
        return withdrawn

    def being_queued(self) -> bool:
        """Return True if a worker has taken a chunk and not queued all of it yet."""
        self._find_queued()
        return bool(self._waiting)

    def _find_queued(self) -> None:
        """Move the chunks that workers have queued to the jobs that are looked up one by one."""
        names = list(self._waiting)
        exist = self._jobs.chunks.exist(names) if names else []
        for name, exists in zip(names, exist, strict=True):
            if not exists:
                for recipe in self._waiting.pop(name).unpack():
                    self._queued.setdefault(recipe.key, []).append(recipe.as_json())

    def _ended(self, keys: list[str]) -> list[Ended]:
        """Return those of the jobs *keys* that have ended, and follow them no longer."""
        states = dict(zip(keys, self._jobs.states(keys), strict=True))
        for key, state in states.items():
            if state is JobState.DELAYED:
                self._delayed[key] = None
            else:
                self._delayed.pop(key, None)
        ended = [key for key, state in states.items() if state is None or state in ENDED]
        failed = {key: self._failure(key) for key in ended if states[key] is not JobState.DONE}
        return [Ended(from_json(recipe), failed.get(key)) for key in ended for recipe in self._queued.pop(key)]

    def _failure(self, key: str) -> Failure | None:
        """Return why the job *key* ended without a derivative; None if there is one.

        A job that was done long ago is no longer known: its derivative is in the store.
        """
        record = self._jobs.read(key)
        if record is not None:
            return record.failure
        if self._store.find(from_json(self._queued[key][0])) is not None:
            return None
        return Failure("the queue has forgotten it: it was deleted, or the broker lost its data; ask again")
