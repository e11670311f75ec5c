"""CloudEvents 1.0 over HTTP: structured, batched, or binary with `ce-` headers."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import PATH, Delivery, Event, parsed, text_of
from mezcal.ingest.events.named_masters import kind_of, named

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED = ("specversion", "id", "source", "type")


def read(body: Any, headers: Mapping[str, str]) -> Delivery:
    """One event or a batch; in the binary form *body* is the data and the rest comes with *headers*."""
    if "ce-specversion" in headers:
        attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
        said: list[Any] = [attributes | {"data": body}]
    else:
        said = body if isinstance(body, list) else [body]
    found, ids, others = [], [], set()
    for one in said:
        _check(one)
        ids.append(f"{one['source']}\n{one['id']}")
        kind = kind_of(one["type"])
        if kind is None:
            others.add(one["type"][:80])
        else:
            found += _events(one, kind)
    note = f"nothing follows from {', '.join(sorted(others)[:5])}" if others else None
    return Delivery(found, _identity(ids), note)


def _check(one: Any) -> None:
    if not isinstance(one, dict) or any(text_of(one.get(name)) is None for name in NEEDED):
        raise BadEvent("a CloudEvent needs specversion, id, source and type")
    if one["specversion"] != "1.0":
        raise BadEvent("of CloudEvents, version 1.0 is understood")


def _events(one: dict[str, Any], kind: Any) -> list[Event]:
    data = one.get("data")
    if "data_base64" in one:
        data = _decoded(one["data_base64"])
    if data is None and text_of(one.get("subject")):
        return [Event(kind, PATH, one["subject"])]
    return named(data, kind)


def _decoded(text: Any) -> Any:
    try:
        return parsed(b64decode(str(text), validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadEvent("data_base64 is no Base64") from error


def _identity(ids: list[str]) -> str | None:
    """Source and id tell an event from all others; of several, all of theirs."""
    return hashlib.sha256("\n".join(ids).encode("utf-8", "surrogatepass")).hexdigest() if ids else None
