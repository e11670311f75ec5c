"""ActivityStreams 2 as Fedora 5 and 6 send it, the short form of its HTTP forwarding, and Islandora's derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import URL, Delivery, Event, Kind, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = {  # the strongest first: an event of several types is what remains true of its object
    "Delete": Kind.DELETED,
    "Purge": Kind.DELETED,
    "ResourceDeletion": Kind.DELETED,  # Fedora 5's words
    "Update": Kind.CHANGED,
    "ResourceModification": Kind.CHANGED,
    "Create": Kind.CREATED,
    "ResourceCreation": Kind.CREATED,
}
MASTERS = {"Binary", "NonRDFSource"}  # what of a repository's resources has content
DESCRIPTION = "/fcr:"  # descriptions, versions and access lists of a resource lie below it so
LISTS = {"OrderedCollection", "OrderedCollectionPage", "Collection", "CollectionPage"}


def read(body: Any, headers: Mapping[str, str]) -> Delivery:  # noqa: ARG001 - every format's form
    """One activity or a list of them."""
    said = body if isinstance(body, list) else [body]
    found, notes = [], []
    for one in said:
        if not isinstance(one, dict):
            raise BadEvent("an activity must be an object")
        events, note = _one(one)
        found += events
        notes += [note] if note else []
    ids = [text_of(one.get("id")) for one in said if one.get("object")]  # the short form's id is the master's
    return Delivery(found, ids[0] if len(ids) == 1 else None, notes[0] if notes else None)


def _one(activity: dict[str, Any]) -> tuple[list[Event], str | None]:
    types = _words(activity.get("type"))
    if types & LISTS:
        return [], "a list of activities is to be polled; each activity is to be sent by itself"
    if "Move" in types:
        return _moved(activity)
    if "Activity" in types and isinstance(activity.get("attachment"), dict):
        return _derivative(activity["attachment"])
    kind = next((kind for word, kind in KINDS.items() if word in types), None)
    if kind is None:
        return [], f"nothing follows from {', '.join(sorted(types)) or 'an activity without a type'}"[:200]
    return _about(kind, activity.get("object", activity.get("id")))


def _about(kind: Kind, thing: Any) -> tuple[list[Event], str | None]:
    if not isinstance(thing, dict):
        return _event(kind, thing, None)
    if not _has_content(thing):
        return [], "it is about no file: a container, or a description"
    return _event(kind, thing.get("id", thing.get("@id")), text_of(thing.get("mediaType")))


def _event(kind: Kind, url: Any, media: str | None) -> tuple[list[Event], str | None]:
    if text_of(url) is None:
        raise BadEvent("the activity names no object")
    if DESCRIPTION in url:
        return [], "it is about a description, not about a file"
    return [Event(kind, URL, url, media)], None


def _has_content(about: dict[str, Any]) -> bool:
    """Whether the object may be a file; one whose types are not told may be."""
    types = _words(about.get("type", about.get("@type")))
    return not types or bool(types & MASTERS) or not any(word in types for word in ("Resource", "RDFSource"))


def _moved(activity: dict[str, Any]) -> tuple[list[Event], str | None]:
    """Gone where it was, new where it is; Fedora 5 and 6 do not move, others may."""
    left, come = _address(activity.get("origin")), _address(activity.get("target"))
    events = [Event(Kind.DELETED, URL, left)] if left else []
    events += [Event(Kind.CHANGED, URL, come)] if come else []
    return events, None if events else "a move without origin and target"


def _derivative(attachment: dict[str, Any]) -> tuple[list[Event], str | None]:
    """Islandora wants a derivative of a file that is new or changed; it does not say which."""
    content = attachment.get("content")
    content = content if isinstance(content, dict) else {}
    source = text_of(content.get("source_uri"))
    if source is None or not str(content.get("mimetype", "image/")).startswith("image/"):
        return [], "it wants no picture"
    return [Event(Kind.CHANGED, URL, source)], None


def _address(thing: Any) -> str | None:
    return text_of(thing.get("id")) if isinstance(thing, dict) else text_of(thing)


def _words(types: Any) -> set[str]:
    """The last words of type URIs."""
    listed = types if isinstance(types, list) else [types]
    return {one.rpartition("#")[2].rpartition("/")[2] for one in listed if isinstance(one, str)}
