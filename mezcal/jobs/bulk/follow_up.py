"""What was handed over to be made in bulk and has not come to an end yet, as whoever handed it over follows it.

The list is kept as the chunks are, compressed: a million paths are 5 to 20 MB here, whatever their source. A chunk
that waits in Redis costs one look; only the jobs of those that are queued, some 20,000 at most (`chunks.AHEAD`),
are looked at one by one, and of these only the oldest as long as they end in about the order they were queued.
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
from mezcal.jobs.state.keys import JobState
from mezcal.jobs.state.outages import raises_broker_down
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import Store

BATCH = 1000  # jobs in one round trip
ALL_SECONDS = 10.0  # between two looks at every queued job; a finished one is remembered for 60
ENDED = {JobState.DONE, JobState.FAILED, JobState.QUARANTINED}


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that came to its end; *failure* says why there is no derivative."""

    recipe: Recipe
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Packed:
    """The recipes of one chunk, compressed."""

    number: int
    body: bytes

    @classmethod
    def of(cls, recipes: list[Recipe]) -> Packed:
        """*recipes*, packed."""
        return cls(len(recipes), zlib.compress(json.dumps([recipe.as_json() for recipe in recipes]).encode(), 1))

    def unpacked(self) -> Iterator[Recipe]:
        """The recipes again."""
        return map(from_json, json.loads(zlib.decompress(self.body)))


class Outstanding:
    """Jobs that were handed over by this process. Every method raises `BrokerDown` where Redis cannot be reached."""

    def __init__(self, jobs: Jobs, store: Store) -> None:
        self._jobs, self._store = jobs, store
        self._waiting: dict[str, Packed] = {}  # by the chunk's name
        self._queued: dict[str, list[dict[str, Any]]] = {}  # by the job's key, in the order of queueing: the recipe,
        # as often as it was handed over
        self._looked_at_all = time.monotonic()
        self._began = jobs.broker.clock()

    def count(self) -> int:
        """How many have not ended, as far as was seen."""
        waiting = sum(packed.number for packed in self._waiting.values())
        return waiting + sum(map(len, self._queued.values()))

    def hand_over(self, recipes: list[Recipe], *, at_once: bool = True) -> None:
        """Have *recipes* made in bulk; a worker queues them, *at_once* or when their turn comes."""
        with raises_broker_down():
            for start in range(0, len(recipes), SIZE):
                some = recipes[start : start + SIZE]
                for name in self._jobs.batches.post(("wanted", "recipe", one.as_json()) for one in some).chunks:
                    self._waiting[name] = Packed.of(some)
                    if at_once:
                        self._send(name)

    def _send(self, name: str) -> None:
        with suppress(BrokerDown):  # a worker's housekeeping finds the chunk
            self._jobs.pipe.spread(name)

    def look(self) -> Iterator[Ended]:
        """The jobs that have ended since the last look, each as often as it was handed over."""
        self._see_queued()
        every = time.monotonic() - self._looked_at_all >= ALL_SECONDS
        if every:
            self._looked_at_all = time.monotonic()
        keys = iter(list(self._queued))
        while some := list(islice(keys, BATCH)):
            ended = self._ended(some)
            yield from ended
            if not ended and not every:
                return

    def take_back(self) -> int:
        """Withdraw what nobody has begun and nobody else wants; how many. What is being queued right now is not
        among them: call again until `being_queued` is false.
        """
        taken = 0
        with raises_broker_down():
            for name in list(self._waiting):
                if self._jobs.chunks.take_back(name):
                    taken += self._waiting.pop(name).number
        self._see_queued()
        with raises_broker_down():
            keys = iter(list(self._queued))
            while some := list(islice(keys, BATCH)):
                taken += self._jobs.table.withdraw(some, self._began)
        return taken

    def being_queued(self) -> bool:
        """Whether a worker has taken a chunk and not queued all of it yet."""
        self._see_queued()
        return bool(self._waiting)

    def _see_queued(self) -> None:
        names = list(self._waiting)
        with raises_broker_down():
            standing = self._jobs.chunks.standing(names) if names else []
        for name, there in zip(names, standing, strict=True):
            if not there:
                for recipe in self._waiting.pop(name).unpacked():
                    self._queued.setdefault(recipe.key, []).append(recipe.as_json())

    def _ended(self, keys: list[str]) -> list[Ended]:
        """Those of the jobs *keys* that have ended; they are no longer followed."""
        with raises_broker_down():
            states = dict(zip(keys, self._jobs.table.states(keys), strict=True))
            ended = [key for key, state in states.items() if state is None or state in ENDED]
            failed = {key: self._failure(key) for key in ended if states[key] is not JobState.DONE}
        return [Ended(from_json(one), failed.get(key)) for key in ended for one in self._queued.pop(key)]

    def _failure(self, key: str) -> Failure | None:
        """Why the job *key* ended without a derivative. None where there is one, as there is for a job that ended
        so long ago that the queue has forgotten it.
        """
        record = self._jobs.table.read(key)
        if record is not None:
            return record.failure
        if self._store.find(from_json(self._queued[key][0])) is not None:
            return None
        return Failure("the queue has forgotten it: it was deleted, or the broker lost its state; ask again")
