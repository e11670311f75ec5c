"""Bulk requests over HTTP: lists of masters in, and how far they have come."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from flask import Response, jsonify, request, url_for
from werkzeug.exceptions import NotFound, RequestEntityTooLarge

from api.context import context
from api.security import body_limits
from mezcal.ingest.events import Event, Kind, named, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mezcal.jobs import Batch, Record

JSON_MOST = 4 << 20  # bytes: to parse JSON holds all other threads up; lines are read piece by piece
LINES = "text/plain"
JSON_LINES = {"application/x-ndjson", "application/jsonl", "application/ndjson"}


def listed() -> Iterable[Event]:
    """The masters that the request lists: lines with a path each, lines with JSON each, or JSON."""
    settings = context().settings
    if request.mimetype == LINES:
        body_limits.check(settings.jobs_max_bytes)
        found: Iterable[Event] = (Event(Kind.WANTED, "path", line) for line in body_limits.lines())
    elif request.mimetype in JSON_LINES:
        body_limits.check(settings.jobs_max_bytes)
        found = (event for line in body_limits.lines() for event in named(parsed(line.encode()), Kind.WANTED))
    else:
        body_limits.check(min(JSON_MOST, settings.jobs_max_bytes))
        found = named(parsed(body_limits.whole()), Kind.WANTED)
    return _bounded(found, settings.jobs_max_items)


def _bounded(events: Iterable[Event], most: int) -> Iterator[Event]:
    for number, event in zip(count(1), events, strict=False):
        if number > most:
            raise RequestEntityTooLarge(f"the list has more than {most:,} masters: send several")
        yield event


def batch(name: str, shown: Callable[[Record], dict[str, Any]]) -> Response:
    """How the batch stands, its failures *shown*; 404 when it is not, or no longer, known."""
    found = context().jobs.batches.read(name)
    if found is None:
        raise NotFound("no such batch: it was never posted, or ended a week ago")
    response = jsonify(described(found, shown))
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Authorization")
    response.add_etag()
    response.make_conditional(request)
    return response


def described(found: Batch, shown: Callable[[Record], dict[str, Any]]) -> dict[str, Any]:
    """A batch as JSON; times are seconds since 1970."""
    return {
        "id": found.name,
        "state": "done" if found.done else "running",
        "items": found.items,
        "counts": found.counts,
        "asked": found.asked,
        "last": found.last,
        "rate": None if found.rate is None else round(found.rate, 3),
        "estimate": None if found.estimate is None else round(found.estimate, 1),
        "failures": [shown(record) for record in found.failures],
        "notes": found.notes,
        "links": {"self": url_for("jobs.job", key=found.name)},
    }
