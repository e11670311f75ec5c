"""Our own way of naming masters in JSON, which the formats without one of their own share."""

from __future__ import annotations

from typing import Any

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import FRAME, PATH, RECIPE, URL, Event, Kind, text_of

ENDS = {  # the last word of an event's type -> what it means; producers have many words for three things
    **dict.fromkeys(("created", "create", "added", "add", "new", "deposited", "ingested"), Kind.CREATED),
    **dict.fromkeys(("updated", "update", "changed", "change", "modified", "replaced", "put"), Kind.CHANGED),
    **dict.fromkeys(("deleted", "delete", "removed", "remove", "purged", "withdrawn"), Kind.DELETED),
}
BY = (PATH, URL, FRAME)


def kind_of(type_: str) -> Kind | None:
    """What an event's dotted type means by its last word, None if that is none of ours."""
    word = type_.replace(":", ".").replace("/", ".").rpartition(".")[2]
    return ENDS.get(word.lower())


def named(data: Any, kind: Kind) -> list[Event]:
    """The masters in *data*: one object, a list of objects or paths, or an object with such a list as `items`."""
    if isinstance(data, dict) and "items" in data:
        data = data["items"]
    items = data if isinstance(data, list) else [data]
    return [_one(item, kind) for item in items]


def _one(item: Any, kind: Kind) -> Event:
    if isinstance(item, str):
        return Event(kind, PATH, item)
    if isinstance(item, dict):
        for by in BY:
            if isinstance(name := item.get(by), (str, int)):
                if by == PATH and (page := item.get("page")) is not None:
                    return Event(kind, RECIPE, {"kind": "mezzanine", "path": name, "page": page})
                return Event(kind, by, name, text_of(item.get("media_type")))
    raise BadEvent("each item must be a path, or an object with `path`, `url` or `frame`")
