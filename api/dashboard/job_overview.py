"""The queue, the running jobs and the failed jobs, as the operator's page shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import url_for

from api.dashboard.estimate import fraction_done
from mezcal.errors import BrokerDown, Failure, kinds
from mezcal.explanations import explanation_of, filled

if TYPE_CHECKING:
    from api.context import ApiContext
    from mezcal.jobs import QueueStatus, Record
    from mezcal.settings import Settings

FAILURES_READ = 1000  # at most; these are counted by class
SHOWN_OF_CLASS = 10  # failed jobs
RUNNING_MAX = 50
DELAYED_READ = 100
DELAY_REASONS = 5


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A running job: for how many *seconds*, and the fraction that is *done* (0 to 1), None if unknown."""

    label: str
    href: str
    lane: str
    attempt: int
    worker: str
    seconds: float
    done: float | None


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A failed job; *ended* in seconds since 1970."""

    key: str
    label: str
    detail: str
    ended: float | None


@dataclass(frozen=True, slots=True)
class FailureClass:
    """The failed jobs of one class: their *count* among those read, and the newest of them.

    *cause* and *step* are for operators; *retry*: trying again may help although nothing was changed.
    """

    slug: str
    title: str
    count: int
    jobs: list[FailedJob]
    cause: str = ""
    step: str = ""
    retry: bool = False


@dataclass(frozen=True, slots=True)
class FailureOverview:
    """The number of all recorded failures, the number of those read, and these by class."""

    total: int
    read: int
    classes: list[FailureClass]


# --- the queue


def queue(context: ApiContext) -> QueueStatus | None:
    """Return the state of the queue, None if the broker cannot be reached."""
    try:
        return context.jobs.status()
    except BrokerDown:
        return None


def delay_reasons(context: ApiContext) -> list[str]:
    """Return why jobs wait for their next attempt, each reason once. Empty if the broker cannot be reached."""
    try:
        delayed = context.jobs.delayed(DELAYED_READ)
    except BrokerDown:
        return []
    reasons = [f"{record.failure.slug}: {record.failure.detail}" for record in delayed if record.failure]
    return list(dict.fromkeys(reasons))[:DELAY_REASONS]


def running_jobs(context: ApiContext) -> list[JobProgress]:
    """Return the running jobs, the oldest first. Empty if the broker cannot be reached."""
    try:
        running = context.jobs.running(RUNNING_MAX)
    except BrokerDown:
        return []
    jobs = [_job_progress(job.record, fraction_done(job.stage) if job.stage else None) for job in running]
    return sorted(jobs, key=lambda job: -job.seconds)


def _job_progress(record: Record, done: float | None) -> JobProgress:
    return JobProgress(
        label=record.label,
        href=url_for("operator.job", key=record.key),
        lane=str(record.lane),
        attempt=record.attempts,
        worker=record.worker or "",
        seconds=max(0.0, time.time() - (record.started or time.time())),
        done=done,
    )


# --- failures


def failures(context: ApiContext) -> FailureOverview | None:
    """Return the failed jobs by class, the largest class first. None if the broker cannot be reached."""
    try:
        records = context.jobs.failures(FAILURES_READ)
        total = context.jobs.depths()["failed"]
    except BrokerDown:
        return None
    by_class: dict[str, list[Record]] = {}
    for record in records:
        by_class.setdefault(class_of(record), []).append(record)
    classes = [_failure_class(context.settings, slug, members) for slug, members in by_class.items()]
    return FailureOverview(total, len(records), sorted(classes, key=lambda group: -group.count))


def class_of(record: Record) -> str:
    """Return the slug of the failure in *record*."""
    return record.failure.slug if record.failure else Failure.slug


def _failure_class(settings: Settings, slug: str, records: list[Record]) -> FailureClass:
    title = next((kind.title for kind in kinds() if kind.slug == slug), Failure.title)
    newest = sorted(records, key=lambda record: -(record.ended or 0))[:SHOWN_OF_CLASS]
    explained = explanation_of(slug)
    cause, step = filled(explained.operator, settings), filled(explained.step, settings)
    return FailureClass(slug, title, len(records), list(map(_failed_job, newest)), cause, step, explained.retry)


def _failed_job(record: Record) -> FailedJob:
    detail = record.failure.detail if record.failure else "no reason was recorded"
    return FailedJob(record.key, record.label, detail, record.ended)
