"""Chores: periodic work that is done once per installation, with any number of workers.

    @chore(every=600)
    def trim() -> None: ...

Each worker asks every two seconds which chores are due. Redis gives each chore to one worker per interval, and that
worker sends it as a task. A chore that runs longer than its interval may run twice at once: keep it short, or make it
safe to run twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.app import WorkerContext


@dataclass(frozen=True, slots=True)
class Chore:
    """Work to be done once in *seconds*; the first time when the first worker starts."""

    name: str
    seconds: float
    work: Callable[[], object]
    due: Callable[[WorkerContext], bool]


CHORES: dict[str, Chore] = {}


def chore(
    *, every: float, due: Callable[[WorkerContext], bool] = lambda _: True
) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register the decorated function as a chore, which one worker does once in *every* seconds while it is *due*."""

    def register(work: Callable[[], object]) -> Callable[[], object]:
        CHORES[work.__name__] = Chore(work.__name__, every, work, due)
        return work

    return register


def claim_due(ctx: WorkerContext) -> list[str]:
    """Claim the chores that are due. Returns the names of those that this worker is to send. Raises `BrokerDown`."""
    due = {chore.name: chore.seconds for chore in CHORES.values() if chore.due(ctx)}
    return ctx.jobs.chores.claim(due, ctx.name)
