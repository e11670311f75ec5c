"""Bulk requests on their way into the queue: items left in chunks, queued as the bulk lane has room.

A million images are so a thousand small keys and not a million jobs with their messages. A chunk stays until all
its items are settled or queued, so whoever dies on the way loses none; to queue one twice does no harm.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from mezcal.jobs.state.keys import Lane
from mezcal.jobs.state.outages import raises_broker_down

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

    from mezcal.jobs.state.keys import Keys

SIZE = 1000  # items: a tenth of a second to queue, and small enough for one message's worth of memory
FRAMES = 10  # items where frames are among them: the archive is asked about each, which takes seconds
DRAFT_SECONDS = 3600  # in which a list has to come to its end
AHEAD = 20_000  # jobs in the bulk lane or in back-off: enough for the workers of some minutes, little for Redis
SENT_MOST = 4  # chunks in one sweep
HELD_SECONDS = 60  # whoever took a chunk and has not queued it by then has died
LIVING = 90 * 86_400  # seconds for which a chunk is kept: nothing is for ever
TAKE = """
local function now() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local body = redis.call('GET', KEYS[1])
if not body then redis.call('ZREM', KEYS[2], ARGV[1]) return '' end
local ahead = redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4])
if ahead >= tonumber(ARGV[2]) then redis.call('ZADD', KEYS[2], now(), ARGV[1]) return '' end
if not redis.call('SET', KEYS[5], '1', 'NX', 'EX', ARGV[3]) then return '' end
redis.call('ZADD', KEYS[2], now() + ARGV[3] * 1000, ARGV[1])
return body
"""
DUE = """
if redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[1]) then return {} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, name in ipairs(due) do redis.call('ZADD', KEYS[1], now + ARGV[3] * 1000, name) end
return due
"""
TAKE_BACK = """
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Items of *batch*, `events.Event` as JSON; the first of them is at the place *first*."""

    name: str
    batch: str
    first: int
    items: list[list[Any]]


class Chunks:
    """The chunks of one installation. Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def draft(self, items: Iterable[Any], batch: str) -> tuple[list[str], int]:
        """Leave *items* for `open` to make them chunks that are taken; their names, and how many items there were.

        No more of *items* than one chunk is held at a time. What is never opened is gone after `DRAFT_SECONDS`.
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
        """Forget chunks that were never opened."""
        if names:
            self._redis.delete(*map(self._keys.chunk, names))

    @raises_broker_down()
    def take(self, name: str) -> Chunk | None:
        """A chunk to be queued now; None where another has it, it is done, or the bulk lane is full enough."""
        keys = [self._keys.chunk(name), self._keys.chunks, *self._ahead, self._held(name)]
        body = self._take(keys=keys, args=[name, AHEAD, HELD_SECONDS])
        if not body:
            return None
        told = json.loads(zlib.decompress(b64decode(body)))
        return Chunk(name, told["batch"], int(told["first"]), told["items"])

    @raises_broker_down()
    def done(self, name: str) -> None:
        """All of the chunk is queued."""
        pipe = self._redis.pipeline()
        pipe.delete(self._keys.chunk(name), self._held(name))
        pipe.zrem(self._keys.chunks, name)
        pipe.execute()

    @raises_broker_down()
    def standing(self, names: list[str]) -> list[bool]:
        """Which of the chunks are still to be queued, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.exists(self._keys.chunk(name))
        return [bool(there) for there in pipe.execute()]

    @raises_broker_down()
    def take_back(self, name: str) -> bool:
        """Drop a chunk that nobody has begun to queue; whether it could be."""
        return bool(self._take_back(keys=[self._keys.chunk(name), self._keys.chunks, self._held(name)], args=[name]))

    @raises_broker_down()
    def due(self) -> list[str]:
        """Chunks whose message is to be sent: those left while the bulk lane was full, or taken by one who died."""
        keys = [self._keys.chunks, *self._ahead]
        return cast("list[str]", self._due(keys=keys, args=[AHEAD, SENT_MOST, HELD_SECONDS]))

    @raises_broker_down()
    def names(self) -> list[str]:
        """Return the names of all chunks, those that may be taken first at the front."""
        return cast("list[str]", self._redis.zrange(self._keys.chunks, 0, -1))

    @property
    def _ahead(self) -> list[str]:
        """What is counted against `AHEAD`; jobs in back-off, for while an origin is down all would go there."""
        return [self._keys.queued(Lane.BULK), self._keys.later]

    def _held(self, name: str) -> str:
        return self._keys.chunk(name) + ":held"

    @cached_property
    def _take(self) -> Any:
        return self._redis.register_script(TAKE)

    @cached_property
    def _take_back(self) -> Any:
        return self._redis.register_script(TAKE_BACK)

    @cached_property
    def _due(self) -> Any:
        return self._redis.register_script(DUE)


def _size(items: list[Any]) -> int:
    return FRAMES if any(item[1] == "frame" for item in items) else SIZE
