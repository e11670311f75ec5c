"""The events of producers, as values. Nothing in them has been checked yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from mezcal.errors import BadEvent

FRAME_ID_DIGITS = 18
URL, PATH, FRAME, OBJECT, RECIPE = "url", "path", "frame", "object", "recipe"


class EventKind(StrEnum):
    """What happens to the derivatives of a master."""

    WANTED = "wanted"  # a list names it: made unless it is stored
    CREATED = "created"  # made; a remembered failure is forgotten
    CHANGED = "changed"  # made again; the old derivative is served until then
    OUTDATED = "outdated"  # made again if other settings made the stored one, which is served until then
    PERHAPS_CHANGED = "perhaps"  # made again, unless the origin says that the stored one is of this very master
    DELETED = "deleted"  # purged


class Event(NamedTuple):
    """One master, and what happened to it. A tuple, because 10,000 of them are written as JSON while a producer waits.

    *name* is the producer's name for it, and *named_by* says of which kind: `path`, `url`, `object` (bucket and key),
    `frame` (the archive's id, or a list of it and the file's MD5) or `recipe`. *media* is the media type, if the
    producer gave one. *profile* is the name of the profile that is wanted, None for the mezzanine.
    """

    kind: EventKind
    named_by: str
    name: Any
    media: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The events of one request. *id* is unique for its producer; *note* says why there are no events."""

    events: list[Event]
    id: str | None = None
    note: str | None = None


def no_constant(name: str) -> None:
    """Raise `ValueError` for NaN and the infinities, which are no JSON."""
    raise ValueError(f"{name} is no JSON")


def parse_json(body: bytes) -> Any:
    """Parse *body* as JSON (RFC 8259: UTF-8). Raises `BadEvent`."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=no_constant)
    except UnicodeDecodeError as error:
        raise BadEvent("the body is not UTF-8") from error
    except RecursionError as error:
        raise BadEvent("the body is nested too deeply") from error
    except ValueError as error:
        raise BadEvent(f"the body is no JSON: {error}"[:200]) from error


def text_or_none(value: Any) -> str | None:
    """Return *value* if it is text and not empty, else None."""
    return value if isinstance(value, str) and value else None
