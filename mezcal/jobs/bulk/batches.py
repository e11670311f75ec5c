"""Batches: bulk requests, with the numbers of their items by outcome.

Each item is counted once, however often its chunk is queued, when its job ends. No count has to read all jobs of a
batch.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

from mezcal.errors import Busy
from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.jobs.bulk.chunks import Chunks
    from mezcal.jobs.state.records import Record
    from mezcal.jobs.state.scripts import Arguments
    from mezcal.jobs.state.table import JobTable

PREFIX = "batch-"  # tells a batch's id from a job's, which has hex digits only
# Hashes for the deliveries of a quarter of a day. A million events a day are 244 in each, and Redis packs up to 512.
BUCKETS = 1024
DIGEST_DIGITS = 20  # 80 bits: among a million deliveries two are alike once in a trillion days
ACTIVE_MOST = 20_000  # running jobs, and delayed jobs, among which those of a batch are counted
ENDS = ("done", "failed", "forgotten", "deleted", "ignored", "repeated")
TEXT_MOST = 300  # characters of a note


@dataclass(frozen=True, slots=True)
class Posted:
    """A batch that was saved for the workers. *again* is true if an earlier delivery of the same event opened it."""

    name: str
    items: int
    chunks: list[str]
    again: bool = False


class Note(NamedTuple):
    """The end of the item at *place*, for which there is no job.

    The item stands for so many *derivatives*, of which *ended* have this *outcome*; the others are jobs.
    """

    place: int
    outcome: str
    about: str = ""
    reason: str = ""
    ended: int = 1
    derivatives: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """The state of a batch; times are seconds since 1970. The sum of *counts* is *items*."""

    name: str
    items: int
    asked: float
    last: float | None
    counts: dict[str, int]
    failures: list[Record]
    notes: list[dict[str, str]]

    @property
    def settled(self) -> int:
        """The number of items that have ended."""
        return sum(self.counts[end] for end in ENDS)

    @property
    def rate(self) -> float | None:
        """Items settled per second so far; None before the first."""
        until = self.last if self.done else time.time()
        if not self.settled or until is None:
            return None
        return self.settled / max(until - self.asked, 0.001)

    @property
    def done(self) -> bool:
        """True if all items are settled."""
        return self.settled >= self.items

    @property
    def estimate(self) -> float | None:
        """The seconds that are left at this rate, None before the first item is settled."""
        return (self.items - self.settled) / self.rate if self.rate else None


class Batches:
    """The batches of one installation. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, table: JobTable, chunks: Chunks) -> None:
        self._table, self._chunks = table, chunks

    @raises_broker_down()
    def post(self, items: Iterable[Any], delivery: str | None = None, callback: str = "") -> Posted:
        """Save *items* (small JSON, `events.Event`), all or none. A *delivery* repeated within a day saves nothing.

        The hook that is called *callback* is notified of the ends of the jobs.
        """
        name = PREFIX + uuid4().hex[:24]
        names, count = self._chunks.draft(items, name)
        digest = hashlib.sha256(delivery.encode("utf-8", "surrogatepass")).hexdigest() if delivery else ""
        opened = self._open(name, names, count, digest, callback)
        if opened != name:
            self._chunks.drop(names)
        if not opened:
            raise Busy("the list came too slowly: send it again")
        return Posted(opened, count, names if opened == name else [], again=opened != name)

    def _open(self, name: str, chunks: list[str], items: int, digest: str, callback: str = "") -> str:
        args: Arguments = {
            "batch": name,
            "items": items,
            "delivery": digest[:DIGEST_DIGITS],
            "bucket": int(digest[-4:] or "0", 16) % BUCKETS,
            "chunk_prefix": self._table.keys.chunk(""),
            "chunks": json.dumps(chunks),
            "callback": callback,
        }
        return cast("str", self._table.scripts.run("bulk/open_batch", self._table.keys.of_batch(name), args))

    @raises_broker_down()
    def age(self, name: str) -> float | None:
        """Return how many seconds ago the batch *name* was posted, None if it is not kept."""
        asked = cast("str | None", self._table.redis.hget(self._table.keys.batch(name), "asked"))
        return None if asked is None else max(0.0, time.time() - int(asked) / 1000)

    @raises_broker_down()
    def open_places(self, name: str, first: int, count: int) -> list[bool]:
        """Return for each of *count* items from *first* on whether it is neither settled nor queued yet."""
        pipe = self._table.redis.pipeline(transaction=False)
        for place in range(first, first + count):
            pipe.getbit(f"{self._table.keys.batch(name)}:taken", place)
        return [not bit for bit in pipe.execute()]

    @raises_broker_down()
    def note(self, name: str, notes: list[Note]) -> None:
        """Settle items of the batch *name*, in one round trip."""
        pipe = self._table.redis.pipeline(transaction=False)
        keys = self._table.keys.of_batch(name)
        for note in notes:
            listed = {"item": note.about[:TEXT_MOST], "what": note.outcome, "reason": note.reason[:TEXT_MOST]}
            args: Arguments = {
                "batch": name,
                "place": note.place,
                "outcome": note.outcome,
                "ended": note.ended,
                "derivatives": note.derivatives,
                "note": json.dumps(listed) if note.reason else "",
            }
            self._table.scripts.run("bulk/settle_item", keys, args, pipe)
        pipe.execute()

    @raises_broker_down()
    def read(self, name: str) -> Batch | None:
        """Return the batch *name*, None if it is not kept."""
        keys, key = self._table.keys, self._table.keys.batch(name)
        pipe = self._table.redis.pipeline(transaction=True)  # the counts are of one moment, or an item may be in two
        pipe.hgetall(key)
        pipe.bitcount(f"{key}:taken")
        pipe.scard(f"{key}:open")
        pipe.lrange(f"{key}:failed", 0, -1)
        pipe.lrange(f"{key}:notes", 0, -1)
        self._table.scripts.run("bulk/count_active", keys.of_batch(name), {"limit": ACTIVE_MOST}, pipe)
        fields, taken, still_open, failed, notes, active = pipe.execute()
        if not fields:
            return None
        return Batch(
            name=name,
            items=int(fields["items"]),
            asked=int(fields["asked"]) / 1000,
            last=int(fields["last"]) / 1000 if "last" in fields else None,
            counts=_counts(fields, taken, still_open, active),
            failures=self._table.records(list(dict.fromkeys(failed))),
            notes=[json.loads(note) for note in notes],
        )

    @raises_broker_down()
    def totals(self) -> dict[str, int]:
        """Return how many items of all batches have ended in each of `ENDS`."""
        items = cast("dict[str, str]", self._table.redis.hgetall(self._table.keys.items))
        return {end: int(items.get(end, 0)) for end in ENDS}


def _counts(fields: dict[str, str], taken: int, still_open: int, active: list[int]) -> dict[str, int]:
    running, delayed = active
    return {
        "waiting": int(fields["items"]) - int(fields.get("extra", 0)) - taken,
        "queued": max(still_open - running - delayed, 0),
        "delayed": delayed,
        "running": running,
        **{end: int(fields.get(end, 0)) for end in ENDS},
    }
