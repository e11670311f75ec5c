"""Bulk requests over HTTP: lists of masters, and the progress of their batches."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from flask import Response, jsonify, request, url_for
from werkzeug.exceptions import BadRequest, NotFound, RequestEntityTooLarge

from api.context import context
from api.request_log import note_event
from api.responses.jobs import batch_json, polled
from api.security import body_limits
from mezcal.ingest.events import Event, EventKind, in_profiles, parse_json
from mezcal.ingest.events import read_list as events_in
from mezcal.recipe import chosen_profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.jobs import Posted

JSON_BYTES_MAX = 4 << 20  # parsing JSON blocks all other threads; lists of lines are read in parts
LINES = "text/plain"
JSON_LINES = {"application/x-ndjson", "application/jsonl", "application/ndjson"}


def callback() -> str:
    """Return the name of the hook that the query calls, "" for none. A client names no URL: settings alone do that."""
    name = request.args.get("callback", "")
    known = sorted({hook.called for hook in context().settings.hooks} - {""})
    if name and name not in known:
        named = f"it may be {', '.join(known)}" if known else "no webhook of DOWNSTREAM_URLS has a name"
        raise BadRequest(f"callback={name[:60]} is the name of no hook: {named}")
    return name


def read_list() -> Iterable[Event]:
    """Return the masters that the request lists: a path per line, a JSON value per line, or a JSON list.

    They are wanted in the profiles that the query names, unless the JSON names some.
    """
    settings, profiles = context().settings, request.args.getlist("profile")
    body_limits.limit_time(body_limits.LIST_SECONDS)
    if request.mimetype == LINES:
        body_limits.check(settings.jobs_max_bytes)
        masters = (Event(EventKind.WANTED, "path", line) for line in body_limits.lines())
        events: Iterable[Event] = (event for master in masters for event in in_profiles(master, profiles))
    elif request.mimetype in JSON_LINES:
        body_limits.check(settings.jobs_max_bytes)
        documents = (parse_json(line.encode()) for line in body_limits.lines())
        events = (event for document in documents for event in events_in(document, profiles))
    else:
        body_limits.check(min(JSON_BYTES_MAX, settings.jobs_max_bytes))
        events = events_in(parse_json(body_limits.whole()), profiles)
    return _at_most(settings.jobs_max_items, _in_known_profiles(events))


def _in_known_profiles(events: Iterable[Event]) -> Iterator[Event]:
    """Yield *events*. Raises `BadRecipe` at one that names an unknown profile."""
    known = {None, *(profile.name for profile in context().image_urls.profiles)}
    for event in events:
        if event.profile not in known:
            chosen_profiles([str(event.profile)], context().settings)
        yield event


def _at_most(limit: int, events: Iterable[Event]) -> Iterator[Event]:
    for number, event in zip(count(1), events, strict=False):
        if number > limit:
            raise RequestEntityTooLarge(
                f"the list has more than {limit:,} items (a master is one in each profile): send it in parts"
            )
        yield event


def accepted(format_name: str, posted: Posted) -> Response:
    """Return 202 with the batch of a list or an event in the format *format_name*; 200 if it was received before."""
    note_event(format_name, "duplicate" if posted.again else None, posted.items)
    response = jsonify(batch=posted.name, items=posted.items, again=posted.again)
    response.status_code = 200 if posted.again else 202
    response.headers["Location"] = url_for("jobs.job", key=posted.name)
    response.headers["Cache-Control"] = "no-store"
    return response


def batch(name: str) -> Response:
    """Return the state of a batch; 404 if it is unknown."""
    found = context().jobs.batches.read(name)
    if found is None:
        raise NotFound(
            "no such batch: it never existed, or it ended too long ago (an hour for ten items or fewer, else a week)"
        )
    return polled(batch_json(found))
