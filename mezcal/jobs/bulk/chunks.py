"""Bulk requests on their way into the queue: items are kept in chunks, and queued as the bulk lane empties.

A million images are a thousand small keys that way, and not a million jobs with their messages. A chunk is kept until
all its items are settled or queued, so none is lost if a worker dies. Queueing a chunk twice does no harm.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.jobs.state.table import JobTable

SIZE = 1000  # items: a tenth of a second to queue, and little memory for a worker
FRAMES = 10  # items of a chunk with frames: the archive is asked about each, which takes seconds
DRAFT_SECONDS = 3600  # in which a list has to end
AHEAD = 20_000  # jobs queued in the bulk lane or delayed: some minutes of work, and little memory for Redis
SENT_MOST = 4  # chunks in one sweep
HELD_SECONDS = 60  # a worker that holds a chunk for longer has died


@dataclass(frozen=True, slots=True)
class Chunk:
    """Items of *batch*, `events.Event` as JSON; the first of them is at the place *first*."""

    name: str
    batch: str
    first: int
    items: list[list[Any]]


class Chunks:
    """The chunks of one installation. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, table: JobTable) -> None:
        self._redis, self._keys, self._scripts = table.redis, table.keys, table.scripts

    @raises_broker_down()
    def draft(self, items: Iterable[Any], batch: str) -> tuple[list[str], int]:
        """Save *items* as drafts of chunks. Returns their names and the number of items.

        Holds one chunk of *items* at a time. A draft that no batch opens is deleted after `DRAFT_SECONDS`.
        """
        names, count, rest = [], 0, iter(items)
        while some := list(islice(rest, SIZE)):
            for start in range(0, len(some), size := _size(some)):
                part = some[start : start + size]
                names.append(uuid4().hex)
                body = json.dumps({"batch": batch, "first": count, "items": part}, separators=(",", ":"))
                packed = b64encode(zlib.compress(body.encode(), 1)).decode()
                self._redis.set(self._keys.chunk(names[-1]), packed, ex=DRAFT_SECONDS)
                count += len(part)
        return names, count

    @raises_broker_down()
    def drop(self, names: list[str]) -> None:
        """Delete drafts that no batch has opened."""
        if names:
            self._redis.delete(*map(self._keys.chunk, names))

    @raises_broker_down()
    def take(self, name: str) -> Chunk | None:
        """Take the chunk *name* to queue its items, for `HELD_SECONDS`.

        Returns None if another worker holds it, it is done, or the bulk lane is full enough.
        """
        body = self._run("take_chunk", name, name=name, ahead_max=AHEAD, held_seconds=HELD_SECONDS)
        if not body:
            return None
        fields = json.loads(zlib.decompress(b64decode(body)))
        return Chunk(name, fields["batch"], int(fields["first"]), fields["items"])

    @raises_broker_down()
    def done(self, name: str) -> None:
        """Delete the chunk *name*: all its items are settled or queued."""
        pipe = self._redis.pipeline()
        pipe.delete(self._keys.chunk(name), self._keys.held(name))
        pipe.zrem(self._keys.chunks, name)
        pipe.execute()

    @raises_broker_down()
    def give_back(self, name: str, seconds: float) -> None:
        """Give the chunk *name* back: it may be taken again in so many *seconds*."""
        now = self._redis.time()[0]
        pipe = self._redis.pipeline()
        pipe.delete(self._keys.held(name))
        pipe.zadd(self._keys.chunks, {name: int((now + seconds) * 1000)}, xx=True)
        pipe.execute()

    @raises_broker_down()
    def exist(self, names: list[str]) -> list[bool]:
        """Return for each chunk whether it is still to be queued, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.exists(self._keys.chunk(name))
        return [bool(exists) for exists in pipe.execute()]

    @raises_broker_down()
    def withdraw(self, name: str) -> bool:
        """Delete the chunk *name* unless a worker has begun to queue it. Returns True if it was deleted."""
        return bool(self._run("withdraw_chunk", name, name=name))

    @raises_broker_down()
    def due(self) -> list[str]:
        """Return the chunks whose message is to be sent: the bulk lane was full, or the worker that held them died."""
        answer = self._run("due_chunks", "", ahead_max=AHEAD, limit=SENT_MOST, held_seconds=HELD_SECONDS)
        return cast("list[str]", answer)

    @raises_broker_down()
    def names(self) -> list[str]:
        """Return the names of all chunks, those that may be taken first at the front."""
        return cast("list[str]", self._redis.zrange(self._keys.chunks, 0, -1))

    def _run(self, script: str, chunk: str, **args: str | float) -> Any:
        return self._scripts.run(f"bulk/{script}", self._keys.of_chunk(chunk), args)


def _size(items: list[Any]) -> int:
    return FRAMES if any(item[1] == "frame" for item in items) else SIZE
