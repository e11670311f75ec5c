"""The queue, the jobs at work and the failures, as the operator's page tells them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import url_for

from api.dashboard.estimate import fraction
from mezcal.errors import BrokerDown, Failure, kinds
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from api.context import ApiContext
    from mezcal.jobs import QueueStatus, Record

FAILURES_READ = 1000  # at most; these are counted by class
NAMED = 10  # failures of a class that are named one by one
RUNNING_MOST = 50


@dataclass(frozen=True, slots=True)
class Running:
    """A job at work: its image, for how many *seconds*, how far (0 to 1, None if untold), by whom."""

    label: str
    href: str
    lane: str
    attempt: int
    worker: str
    seconds: float
    done: float | None


@dataclass(frozen=True, slots=True)
class FailedJob:
    """One failure: the job's *key*, its image, why and when it ended."""

    key: str
    label: str
    detail: str
    ended: float | None


@dataclass(frozen=True, slots=True)
class FailureClass:
    """Failures of one class among those looked at: how many, and some of them, the newest first."""

    slug: str
    title: str
    count: int
    jobs: list[FailedJob]


@dataclass(frozen=True, slots=True)
class Failures:
    """All that are remembered (*total*), of which *seen* were looked at and counted by class."""

    total: int
    seen: int
    classes: list[FailureClass]


# --- the queue


def queue(desk: ApiContext) -> QueueStatus | None:
    """The queue, None where the broker cannot be reached."""
    try:
        return desk.jobs.status()
    except BrokerDown:
        return None


def running(desk: ApiContext) -> list[Running]:
    """The jobs at work, those that began first at the top; none where the broker cannot be reached."""
    try:
        found = desk.jobs.running(RUNNING_MOST)
    except BrokerDown:
        return []
    told = [_running(job.record, fraction(job.stage) if job.stage else None) for job in found]
    return sorted(told, key=lambda one: -one.seconds)


def _running(record: Record, done: float | None) -> Running:
    recipe = from_json(record.recipe)
    return Running(
        label=recipe.label,
        href=url_for("jobs.job", key=record.key),
        lane=str(record.lane),
        attempt=record.attempts,
        worker=record.worker or "",
        seconds=max(0.0, time.time() - (record.started or time.time())),
        done=done,
    )


# --- failures


def failures(desk: ApiContext) -> Failures | None:
    """What failed, by class, the largest class first; None where the broker cannot be reached."""
    try:
        records = desk.jobs.failures(FAILURES_READ)
        total = desk.jobs.depths()["failed"]
    except BrokerDown:
        return None
    by_class: dict[str, list[Record]] = {}
    for record in records:
        by_class.setdefault(class_of(record), []).append(record)
    classes = [_class(slug, found) for slug, found in by_class.items()]
    return Failures(total, len(records), sorted(classes, key=lambda one: -one.count))


def class_of(record: Record) -> str:
    """The slug of *record*'s failure."""
    return record.failure.slug if record.failure else Failure.slug


def title_of(slug: str) -> str:
    """What the class of failures *slug* is called."""
    return next((kind.title for kind in kinds() if kind.slug == slug), Failure.title)


def _class(slug: str, records: list[Record]) -> FailureClass:
    newest = sorted(records, key=lambda record: -(record.ended or 0))[:NAMED]
    return FailureClass(slug, title_of(slug), len(records), [_failed(record) for record in newest])


def _failed(record: Record) -> FailedJob:
    detail = record.failure.detail if record.failure else "no reason was recorded"
    return FailedJob(record.key, from_json(record.recipe).label, detail, record.ended)
