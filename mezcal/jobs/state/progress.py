"""A running job's progress, for whoever waits: written by its worker a few times a second, gone soon after."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from redis import RedisError

from mezcal.jobs.state.keys import Lane
from mezcal.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs.state.table import JobTable
    from mezcal.progress import Progress

log = logging.getLogger(__name__)

TOLD_EVERY = 0.5  # seconds; a job that is done sooner tells nothing
KEPT = 30  # seconds; a worker that dies leaves its last word for so long


@contextmanager
def shown(table: JobTable, key: str, progress: Progress) -> Iterator[Progress]:
    """*progress* is to be filled in while the block lasts, and the job *key* shows it."""
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(table, key, progress, over), name="progress", daemon=True)
    teller.start()
    try:
        yield progress
    finally:
        over.set()
        teller.join()


def _tell(table: JobTable, key: str, progress: Progress, over: threading.Event) -> None:
    told = Stage()
    while not over.wait(TOLD_EVERY):
        stage = progress.stage
        if stage == told:
            continue
        try:
            table.redis.set(table.keys.progress(key), json.dumps(asdict(stage)), ex=KEPT)
            told = stage
        except RedisError as error:
            log.debug("the progress of %s is not shown: %s", key, error)


def read_all(table: JobTable, keys: list[str]) -> list[Stage | None]:
    """Return the progress of each of the jobs *keys*, None if its worker has not reported yet, in one round trip.

    Raises `redis.RedisError`.
    """
    if not keys:
        return []
    reports = cast("list[str | None]", table.redis.mget([table.keys.progress(key) for key in keys]))
    return [Stage(**json.loads(report)) if report else None for report in reports]


def place(table: JobTable, key: str) -> int | None:
    """How many queued jobs come before *key*, itself counted; None where it is not queued. Raises `RedisError`.

    The interactive lane goes first, and of a lane what was queued first: near enough, for it is a forecast.
    """
    pipe = table.redis.pipeline(transaction=False)
    pipe.zrank(table.keys.queued(Lane.INTERACTIVE), key)
    pipe.zrank(table.keys.queued(Lane.BULK), key)
    pipe.zcard(table.keys.queued(Lane.INTERACTIVE))
    interactive, bulk, first = pipe.execute()
    if interactive is not None:
        return int(interactive) + 1
    return None if bulk is None else int(first) + int(bulk) + 1
