"""What a producer says has happened, as values; nothing here is believed yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from mezcal.errors import BadEvent

URL, PATH, FRAME, OBJECT, RECIPE = "url", "path", "frame", "object", "recipe"


class Kind(StrEnum):
    """What is to follow for a master's derivatives."""

    WANTED = "wanted"  # somebody listed it: made unless it is there
    CREATED = "created"  # made; what was remembered of it is over
    CHANGED = "changed"  # made anew; the old one is served till then
    DELETED = "deleted"  # purged


class Event(NamedTuple):
    """One master that something happened to. A tuple: 10,000 of them are written as JSON while a producer waits.

    *name* is what the producer calls it, *by* how: `path`, `url`, `object` (bucket and key), `frame` (an archive's
    id) or `recipe`. *media* is its media type as far as the producer told.
    """

    kind: Kind
    by: str
    name: Any
    media: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one request brought; *id* tells it from all others of its producer, *note* says why it brought nothing."""

    events: list[Event]
    id: str | None = None
    note: str | None = None


def no_constant(name: str) -> None:
    """Refuse what is no JSON: NaN and the infinities."""
    raise ValueError(f"{name} is no JSON")


def parsed(body: bytes) -> Any:
    """*body* as JSON (RFC 8259: UTF-8); raises `BadEvent`."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=no_constant)
    except UnicodeDecodeError as error:
        raise BadEvent("the body is not UTF-8") from error
    except RecursionError as error:
        raise BadEvent("the body is nested too deeply") from error
    except ValueError as error:
        raise BadEvent(f"the body is no JSON: {error}"[:200]) from error


def text_of(value: Any) -> str | None:
    """*value* if it is text that says something."""
    return value if isinstance(value, str) and value else None
