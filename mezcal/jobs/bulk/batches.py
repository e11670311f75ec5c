"""Bulk requests as those who made them see them: how many of their items have ended how.

Each item is counted once, however often its chunk is queued, by whichever job in the table ends for it; nothing
is counted by looking at all of a batch's jobs.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

from mezcal.errors import Busy
from mezcal.jobs.state.outages import raises_broker_down
from mezcal.jobs.state.records import record_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.jobs.bulk.chunks import Chunks
    from mezcal.jobs.state.records import Record
    from mezcal.jobs.state.table import JobTable

PREFIX = "batch-"  # tells a batch from a job, whose id is hex digits only
KNOWN_SECONDS = 86_400  # for which a delivery that comes again is known; producers try for as long
LOOKED_MOST = 20_000  # running jobs, and jobs in back-off, that are looked at to count a batch's own
ENDS = ("done", "failed", "forgotten", "deleted", "ignored", "repeated")


@dataclass(frozen=True, slots=True)
class Posted:
    """A batch that was left for the workers; *again* if the same delivery had opened it before."""

    name: str
    items: int
    chunks: list[str]
    again: bool = False


class Note(NamedTuple):
    """What became of the item at *place* that is no job of its own: of *parts* derivatives, *ended* did so."""

    place: int
    what: str
    about: str = ""
    reason: str = ""
    ended: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """How a batch stands; times are seconds since 1970. *counts* adds up to *items*."""

    name: str
    items: int
    asked: float
    last: float | None
    counts: dict[str, int]
    failures: list[Record]
    notes: list[dict[str, str]]

    @property
    def settled(self) -> int:
        """Items of which nothing more will come."""
        return sum(self.counts[end] for end in ENDS)

    @property
    def rate(self) -> float | None:
        """Items settled in a second, so far; None before the first."""
        until = self.last if self.over else time.time()
        if not self.settled or until is None:
            return None
        return self.settled / max(until - self.asked, 0.001)

    @property
    def over(self) -> bool:
        """Whether all items are settled."""
        return self.settled >= self.items

    @property
    def estimate(self) -> float | None:
        """Seconds that are left if it goes on so; None while nobody can know."""
        return (self.items - self.settled) / self.rate if self.rate else None


class Batches:
    """The batches of one installation. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, table: JobTable, chunks: Chunks) -> None:
        self._table, self._chunks = table, chunks

    @raises_broker_down()
    def post(self, items: Iterable[Any], delivery: str | None = None, seconds: int = KNOWN_SECONDS) -> Posted:
        """Leave *items* (small JSON, `events.Event`), whole or not at all; a *delivery* once in *seconds*."""
        name, keys = PREFIX + uuid4().hex[:24], self._table.keys
        names, count = self._chunks.draft(items, name)
        known = keys.delivery(hashlib.sha256(delivery.encode("utf-8", "surrogatepass")).hexdigest()) if delivery else ""
        told: list[str | float] = [name, count, known, seconds, keys.chunks, keys.chunk(""), *names]
        opened = self._table.run("open", "", *told)
        if opened != name:
            self._chunks.drop(names)
        if not opened:
            raise Busy("the list came too slowly: send it again")
        return Posted(opened, count, names if opened == name else [], again=opened != name)

    @raises_broker_down()
    def known(self, name: str) -> bool:
        """Whether the batch *name* can still be asked about."""
        return bool(self._table.redis.exists(self._table.keys.batch(name)))

    @raises_broker_down()
    def open_places(self, name: str, first: int, count: int) -> list[bool]:
        """Of each of *count* items from *first* on, whether nobody has settled or queued it yet."""
        pipe = self._table.redis.pipeline(transaction=False)
        for place in range(first, first + count):
            pipe.getbit(f"{self._table.keys.batch(name)}:spread", place)
        return [not bit for bit in pipe.execute()]

    @raises_broker_down()
    def note(self, name: str, notes: list[Note]) -> None:
        """Settle items of the batch *name*, in one round trip."""
        pipe = self._table.redis.pipeline(transaction=False)
        for one in notes:
            said = json.dumps({"item": one.about[:300], "what": one.what, "reason": one.reason[:300]})
            told = (name, one.place, one.what, one.ended, one.parts, said if one.reason else "")
            self._table.run("note", "", *told, client=pipe)
        pipe.execute()

    @raises_broker_down()
    def read(self, name: str) -> Batch | None:
        """How the batch stands; None if it is not, or no longer, known."""
        redis, key = self._table.redis, self._table.keys.batch(name)
        pipe = redis.pipeline(transaction=False)
        pipe.hgetall(key)
        pipe.bitcount(f"{key}:spread")
        pipe.scard(f"{key}:open")
        pipe.lrange(f"{key}:failed", 0, -1)
        pipe.lrange(f"{key}:notes", 0, -1)
        fields, spread, still, failed, notes = pipe.execute()
        if not fields:
            return None
        running, later = self._table.run("look", "", name, LOOKED_MOST)
        counts = {
            "waiting": int(fields["items"]) - int(fields.get("beside", 0)) - spread,
            "queued": max(still - running - later, 0),
            "later": later,
            "running": running,
            **{end: int(fields.get(end, 0)) for end in ENDS},
        }
        last = int(fields["last"]) / 1000 if "last" in fields else None
        told = [json.loads(note) for note in notes]
        asked = int(fields["asked"]) / 1000
        return Batch(name, int(fields["items"]), asked, last, counts, self._records(failed), told)

    @raises_broker_down()
    def totals(self) -> dict[str, int]:
        """Return how many items of all batches have ended in each of `ENDS`."""
        items = cast("dict[str, str]", self._table.redis.hgetall(self._table.keys.items))
        return {end: int(items.get(end, 0)) for end in ENDS}

    def _records(self, keys: list[str]) -> list[Record]:
        pipe = self._table.redis.pipeline(transaction=False)
        for key in Counter(keys):
            pipe.hgetall(self._table.keys.job(key))
        found = cast("list[dict[str, str]]", pipe.execute())
        return [record_of(key, fields) for key, fields in zip(Counter(keys), found, strict=True) if fields.get("state")]
