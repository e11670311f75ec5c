"""The progress of a running job: written by its worker twice a second, and deleted soon after."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from redis import RedisError

from mezcal.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs.state.table import JobTable
    from mezcal.progress import Progress

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.5  # a job that is done sooner reports nothing
KEPT = 30  # seconds for which the last report of a dead worker stays


@contextmanager
def progress_reported(table: JobTable, key: str, progress: Progress) -> Iterator[Progress]:
    """Report *progress* as that of the job *key* while the block lasts."""
    done = threading.Event()
    thread = threading.Thread(target=_report, args=(table, key, progress, done), name="progress", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        done.set()
        thread.join()


def _report(table: JobTable, key: str, progress: Progress, done: threading.Event) -> None:
    last = Stage()
    while not done.wait(REPORT_SECONDS):
        stage = progress.stage
        if stage == last:
            continue
        try:
            table.redis.set(table.keys.progress(key), json.dumps(asdict(stage)), ex=KEPT)
            last = stage
        except RedisError as error:
            log.debug("the progress of %s is not reported: %s", key, error)


def read_all(table: JobTable, keys: list[str]) -> list[Stage | None]:
    """Return the progress of each of the jobs *keys*, None if its worker has not reported yet, in one round trip.

    Raises `redis.RedisError`.
    """
    if not keys:
        return []
    reports = cast("list[str | None]", table.redis.mget([table.keys.progress(key) for key in keys]))
    return [Stage(**json.loads(report)) if report else None for report in reports]


def place(table: JobTable, key: str) -> int | None:
    """Return the place of *key* among the queued jobs, from 1; None if it is not queued. Raises `redis.RedisError`.

    It is an estimate: interactive jobs come first, by their turns, then bulk jobs, by when they were queued.
    """
    found = table.scripts.run("jobs/place", table.keys.of_job(key, ""), {"key": key})
    return int(found) or None
