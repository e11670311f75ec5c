"""Reads the messages of queues: the formats of webhooks, and two forms that only queues have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadEvent
from mezcal.ingest.events import Delivery, Event, EventKind, parse_json, read
from mezcal.ingest.events.activitystreams import DESCRIPTION
from mezcal.ingest.events.event import FRAME, FRAME_ID_DIGITS, URL
from mezcal.ingest.queues.message import FCREPO_URI
from mezcal.settings.queue_address import FORMS

MD5_MOST = 64  # characters

if TYPE_CHECKING:
    from mezcal.ingest.queues.message import QueueMessage


def read_message(form: str, message: QueueMessage) -> tuple[str, Delivery]:
    """Returns the form of *message*, told by it if *form* is `auto`, and its events. Raises `BadEvent`."""
    if form == "auto":
        form = _told_form(message)
    if form == "fcrepo-uri":
        return form, _fcrepo_uri(message)
    if form == "frames":
        return form, _frame(parse_json(message.body))
    return form, read(form, message.body, message.headers)


def _told_form(message: QueueMessage) -> str:
    if FCREPO_URI in message.headers and not message.body.strip():
        return "fcrepo-uri"
    if "ce-specversion" in message.headers:
        return "cloudevents"
    found = parse_json(message.body)
    first = found[0] if isinstance(found, list) and found else found
    if isinstance(first, dict):
        for form, names in _MARKS:
            if any(name in first for name in names):
                return form
        if str(first.get("type", "")).startswith("master."):
            return "standard"
        if {"id", "type"} <= first.keys():
            return "fedora"
    raise BadEvent(f"its form cannot be told: name it with form= ({', '.join(FORMS[1:])})")


_MARKS = (  # the members that only one form has
    ("cloudevents", ("specversion",)),
    ("s3", ("Records", "EventName", "Event", "detail-type", "TopicArn")),
    ("frames", ("frameid",)),
    ("fedora", ("@context", "attachment")),
)


def _fcrepo_uri(message: QueueMessage) -> Delivery:
    uri = message.headers.get(FCREPO_URI, "").strip()
    if not uri:
        raise BadEvent("the message has no header CamelFcrepoUri, which names the file")
    if DESCRIPTION in uri:
        return Delivery([], None, "it is about a description, not about a file")
    # The messages are sent for new and for changed files, and do not say which: a changed one must be made again.
    return Delivery([Event(EventKind.CHANGED, URL, uri)])


def _frame(announced: Any) -> Delivery:
    """Read the science archive's announcement of a frame: the FITS header as JSON, with the id of its record."""
    if not isinstance(announced, dict) or "frameid" not in announced:
        raise BadEvent("the announcement has no member `frameid`")
    frame = str(announced["frameid"])
    if not (frame.isascii() and frame.isdigit() and len(frame) <= FRAME_ID_DIGITS):
        raise BadEvent("`frameid` is not a whole number")
    return Delivery([Event(EventKind.CREATED, FRAME, [int(frame), _version(announced)])])


def _version(announced: dict[str, Any]) -> str:
    """Return the MD5 of the announced file, "" if it is not known. The archive may show the frame a moment later."""
    versions = announced.get("version_set")
    newest = versions[0] if isinstance(versions, list) and versions else None
    md5 = newest.get("md5") if isinstance(newest, dict) else None
    return md5 if isinstance(md5, str) and len(md5) <= MD5_MOST else ""
