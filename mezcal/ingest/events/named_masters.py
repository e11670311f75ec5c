"""mezcal's own JSON for masters, for formats that do not define one."""

from __future__ import annotations

from typing import Any

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import FRAME, PATH, RECIPE, URL, Event, EventKind, text_or_none

ENDS = {  # the last word of an event's type; producers use many words for three things
    **dict.fromkeys(("created", "create", "added", "add", "new", "deposited", "ingested"), EventKind.CREATED),
    **dict.fromkeys(("updated", "update", "changed", "change", "modified", "replaced", "put"), EventKind.CHANGED),
    **dict.fromkeys(("deleted", "delete", "removed", "remove", "purged", "withdrawn"), EventKind.DELETED),
}
BY = (PATH, URL, FRAME)


def kind_of(type_: str) -> EventKind | None:
    """Return what happened, by the last word of an event's dotted type; None if the word is not known."""
    word = type_.replace(":", ".").replace("/", ".").rpartition(".")[2]
    return ENDS.get(word.lower())


def read_items(data: Any, kind: EventKind) -> list[Event]:
    """Read *data*: one object, a list of objects or paths, or an object with such a list as `items`.

    Raises `BadEvent`.
    """
    if isinstance(data, dict) and "items" in data:
        data = data["items"]
    items = data if isinstance(data, list) else [data]
    return [_read_item(item, kind) for item in items]


def _read_item(item: Any, kind: EventKind) -> Event:
    if isinstance(item, str):
        return Event(kind, PATH, item)
    if isinstance(item, dict):
        for by in BY:
            if isinstance(name := item.get(by), (str, int)):
                if by == PATH and (page := item.get("page")) is not None:
                    return Event(kind, RECIPE, {"kind": "mezzanine", "path": name, "page": page})
                return Event(kind, by, name, text_or_none(item.get("media_type")))
    raise BadEvent("each item must be a path, or an object with `path`, `url` or `frame`")
