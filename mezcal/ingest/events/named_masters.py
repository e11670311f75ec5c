"""mezcal's own JSON for masters, for formats that do not define one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import FRAME, PATH, RECIPE, URL, Event, EventKind, text_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def read_list(data: Any, profiles: Sequence[str] = ()) -> list[Event]:
    """Read *data* as `read_items` does, as a list of derivatives to be made, each master in all of *profiles*.

    The `profiles` of an object with `items`, and those of a single item, replace them. Raises `BadEvent`.
    """
    if isinstance(data, dict) and "items" in data:
        data, profiles = data["items"], _profiles_in(data) or profiles
    items = data if isinstance(data, list) else [data]
    pairs = ((_read_item(item, EventKind.WANTED), _profiles_in(item) or profiles) for item in items)
    return [each for event, names in pairs for each in in_profiles(event, names)]


def in_profiles(event: Event, profiles: Sequence[str]) -> list[Event]:
    """Return *event* once for each of *profiles*. A frame has none."""
    if event.named_by == FRAME or not profiles:
        return [event]
    return [event._replace(profile=name) for name in dict.fromkeys(profiles)]


def _profiles_in(item: Any) -> list[str]:
    names = item.get("profiles", []) if isinstance(item, dict) else []
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise BadEvent("`profiles` must be a list of names")
    return names


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
