"""ActivityStreams 2 as Fedora 5 and 6 send it, the short form of its HTTP forwarding, and Islandora's derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import URL, Delivery, Event, EventKind, text_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = {  # in order: an activity of several types is of the first one here
    "Delete": EventKind.DELETED,
    "Purge": EventKind.DELETED,
    "ResourceDeletion": EventKind.DELETED,  # in Fedora 5
    "Update": EventKind.CHANGED,
    "ResourceModification": EventKind.CHANGED,
    "Create": EventKind.CREATED,
    "ResourceCreation": EventKind.CREATED,
}
FILES = {"Binary", "NonRDFSource"}  # resources with content
DESCRIPTION = "/fcr:"  # in the paths of a resource's descriptions, versions and access lists
LISTS = {"OrderedCollection", "OrderedCollectionPage", "Collection", "CollectionPage"}


def read(body: Any, headers: Mapping[str, str]) -> Delivery:  # noqa: ARG001 - the signature of every format
    """Read one activity or a list."""
    activities = body if isinstance(body, list) else [body]
    events, notes = [], []
    for activity in activities:
        if not isinstance(activity, dict):
            raise BadEvent("an activity must be an object")
        found, note = _read_activity(activity)
        events += found
        notes += [note] if note else []
    # In the short form, without an object, the id is the master's.
    ids = [text_or_none(activity.get("id")) for activity in activities if activity.get("object")]
    return Delivery(events, ids[0] if len(ids) == 1 else None, notes[0] if notes else None)


def _read_activity(activity: dict[str, Any]) -> tuple[list[Event], str | None]:
    types = _words(activity.get("type"))
    if types & LISTS:
        return [], "a collection of activities is not read: send each activity"
    if "Move" in types:
        return _moved(activity)
    if "Activity" in types and isinstance(activity.get("attachment"), dict):
        return _derivative(activity["attachment"])
    kind = next((kind for word, kind in KINDS.items() if word in types), None)
    if kind is None:
        return [], f"nothing follows from {', '.join(sorted(types)) or 'an activity without a type'}"[:200]
    return _read_object(kind, activity.get("object", activity.get("id")))


def _read_object(kind: EventKind, thing: Any) -> tuple[list[Event], str | None]:
    if not isinstance(thing, dict):
        return _event(kind, thing, None)
    if not _has_content(thing):
        return [], "it is about a container or a description, not about a file"
    return _event(kind, thing.get("id", thing.get("@id")), text_or_none(thing.get("mediaType")))


def _event(kind: EventKind, url: Any, media: str | None) -> tuple[list[Event], str | None]:
    if text_or_none(url) is None:
        raise BadEvent("the activity names no object")
    if DESCRIPTION in url:
        return [], "it is about a description, not about a file"
    return [Event(kind, URL, url, media)], None


def _has_content(about: dict[str, Any]) -> bool:
    """Return True if the object may be a file. An object without types may be one."""
    types = _words(about.get("type", about.get("@type")))
    return not types or bool(types & FILES) or not any(word in types for word in ("Resource", "RDFSource"))


def _moved(activity: dict[str, Any]) -> tuple[list[Event], str | None]:
    """Read a move as a deletion and a change. Fedora 5 and 6 do not move, other producers may."""
    origin, target = _address(activity.get("origin")), _address(activity.get("target"))
    events = [Event(EventKind.DELETED, URL, origin)] if origin else []
    events += [Event(EventKind.CHANGED, URL, target)] if target else []
    return events, None if events else "a move without origin and target"


def _derivative(attachment: dict[str, Any]) -> tuple[list[Event], str | None]:
    """Read Islandora's request for a derivative of a file. It does not say whether the file is new or has changed."""
    content = attachment.get("content")
    content = content if isinstance(content, dict) else {}
    source = text_or_none(content.get("source_uri"))
    if source is None or not str(content.get("mimetype", "image/")).startswith("image/"):
        return [], "it asks for no image"
    return [Event(EventKind.CHANGED, URL, source)], None


def _address(thing: Any) -> str | None:
    return text_or_none(thing.get("id")) if isinstance(thing, dict) else text_or_none(thing)


def _words(types: Any) -> set[str]:
    """Return the last words of type URIs."""
    listed = types if isinstance(types, list) else [types]
    return {uri.rpartition("#")[2].rpartition("/")[2] for uri in listed if isinstance(uri, str)}
