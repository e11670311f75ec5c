"""Failed jobs as lines for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mezcal.recipe import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.jobs import Jobs, Record

ALL = "all"
MANY = 100_000


def lines(records: Iterable[Record], *, full: bool = False) -> list[str]:
    """One line for each job, with *full* its history below it."""
    told = []
    for record in records:
        reason = f"{record.failure.slug}: {record.failure.detail}" if record.failure else "no reason was recorded"
        told.append(f"{record.key}  {record.state:11}  {record.attempts} tries  {_path(record)}  {reason}")
        if full:
            told += [f"    {_moment(past['at'])}  {past['worker']}  {past['what']}" for past in record.history]
    return told or ["no failed jobs"]


def retried(jobs: Jobs, wanted: list[str]) -> list[str]:
    """Try the jobs *wanted* again, or all of them; what became of each."""
    keys = [record.key for record in jobs.failures(MANY)] if wanted == [ALL] else wanted
    return [f"{key}  {'queued again' if jobs.retry(key) else 'no such failure'}" for key in keys] or ["no failed jobs"]


def _path(record: Record) -> str:
    return from_json(record.recipe).label


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(timespec="seconds")
