"""Periodic work, once per installation however many workers run.

    @every(600)
    def trim() -> None: ...

Each worker asks, whenever it keeps house, which chores are due; Redis gives each to one of them per interval, and
that one sends it as a task. A chore that is still running when its interval is over may run beside itself: let it
be short, or harmless twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.app import WorkerContext


@dataclass(frozen=True, slots=True)
class Chore:
    """Work to be done every so many seconds, first when the first worker starts."""

    name: str
    seconds: float
    work: Callable[[], object]


CHORES: dict[str, Chore] = {}


def every(seconds: float) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Have the decorated function called once in *seconds*, by whichever worker is free; its name is the chore's."""

    def register(work: Callable[[], object]) -> Callable[[], object]:
        CHORES[work.__name__] = Chore(work.__name__, seconds, work)
        return work

    return register


def due(bench: WorkerContext) -> list[str]:
    """The chores whose turn it is, and which this worker has been given. Raises `redis.RedisError`."""
    redis, keys = bench.table.redis, bench.table.keys
    return [
        chore.name
        for chore in CHORES.values()
        if redis.set(keys.chore(chore.name), bench.name, nx=True, px=int(chore.seconds * 1000))
    ]
