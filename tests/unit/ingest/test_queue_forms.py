"""The messages of queues: which form each has, and what it asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mezcal.errors import BadEvent
from mezcal.ingest.events import Event, EventKind
from mezcal.ingest.queues.forms import read_message
from mezcal.ingest.queues.message import QueueMessage

MASTER = "http://repository.example/rest/books/1/page.tif"
FRAME = {"frameid": 12345678, "basename": "ogg0m404-kb82-20260101-0001-e91", "OBJECT": "M 31", "area": None}
ACTIVITY = {
    "@context": "https://www.w3.org/ns/activitystreams",
    "id": "urn:uuid:1",
    "type": "Delete",
    "object": {"id": MASTER, "type": ["http://fedora.info/definitions/v4/repository#Binary"]},
}
OWN = {"type": "master.created", "data": {"path": "books/1/page.tif"}}
S3 = {
    "Records": [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "masters"}, "object": {"key": "a.tif"}},
        }
    ]
}
CLOUD = {"specversion": "1.0", "id": "1", "source": "/x", "type": "master.created", "data": {"path": "a.tif"}}


def message(body: Any = "", **headers: str) -> QueueMessage:
    text = body if isinstance(body, str) else json.dumps(body)
    return QueueMessage(text.encode(), headers)


@pytest.mark.parametrize(
    ("given", "form", "event"),
    [
        (message(camelfcrepouri=MASTER), "fcrepo-uri", Event(EventKind.CHANGED, "url", MASTER)),
        (message(FRAME), "frames", Event(EventKind.CREATED, "frame", [12345678, ""])),
        (message(ACTIVITY), "fedora", Event(EventKind.DELETED, "url", MASTER, None)),
        (message(OWN), "standard", Event(EventKind.CREATED, "path", "books/1/page.tif", None)),
        (message(CLOUD), "cloudevents", Event(EventKind.CREATED, "path", "a.tif", None)),
    ],
)
def test_the_form_is_told_by_the_message(given: QueueMessage, form: str, event: Event) -> None:
    told, delivery = read_message("auto", given)
    assert (told, delivery.events) == (form, [event])
    assert read_message(form, given) == (form, delivery), "and it is the same if the form is named"


def test_the_events_of_a_bucket_are_told(recwarn: pytest.WarningsRecorder) -> None:
    told, delivery = read_message("auto", message(S3))
    assert told == "s3"
    assert [event.named_by for event in delivery.events] == ["object"]
    assert not recwarn
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "masters"}
    assert read_message("auto", message(test_event))[0] == "s3"


@pytest.mark.parametrize(
    ("form", "given", "reason"),
    [
        ("auto", message("no JSON"), "no JSON"),
        ("auto", message({"some": "thing"}), "its form cannot be told"),
        ("auto", message([]), "its form cannot be told"),
        ("fcrepo-uri", message(), "no header CamelFcrepoUri"),
        ("frames", message({"basename": "x"}), "no member `frameid`"),
        ("frames", message({"frameid": "²"}), "not a whole number"),
        ("frames", message({"frameid": "9" * 5000}), "not a whole number"),
        ("frames", message({"frameid": True}), "not a whole number"),
        ("standard", message({"frameid": 1}), ""),
    ],
)
def test_a_message_that_cannot_be_understood_says_why(form: str, given: QueueMessage, reason: str) -> None:
    with pytest.raises(BadEvent) as caught:
        read_message(form, given)
    assert reason in caught.value.detail


def test_descriptions_of_files_are_ignored() -> None:
    _, delivery = read_message("auto", message(camelfcrepouri=f"{MASTER}/fcr:metadata"))
    assert (delivery.events, delivery.note) == ([], "it is about a description, not about a file")
