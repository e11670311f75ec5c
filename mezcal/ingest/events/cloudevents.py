"""CloudEvents 1.0 over HTTP: structured, batched, or binary with `ce-` headers."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import PATH, Delivery, Event, parse_json, text_or_none
from mezcal.ingest.events.named_masters import kind_of, read_items

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUIRED = ("specversion", "id", "source", "type")


def read(body: Any, headers: Mapping[str, str]) -> Delivery:
    """Read one event or a batch. In the binary mode *body* is the data, and *headers* have the attributes."""
    if "ce-specversion" in headers:
        attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
        messages: list[Any] = [attributes | {"data": body}]
    else:
        messages = body if isinstance(body, list) else [body]
    events, ids, others = [], [], set()
    for message in messages:
        _check(message)
        ids.append(f"{message['source']}\n{message['id']}")
        kind = kind_of(message["type"])
        if kind is None:
            others.add(message["type"][:80])
        else:
            events += _events(message, kind)
    note = f"nothing follows from {', '.join(sorted(others)[:5])}" if others else None
    return Delivery(events, _delivery_id(ids), note)


def _check(message: Any) -> None:
    if not isinstance(message, dict) or any(text_or_none(message.get(name)) is None for name in REQUIRED):
        raise BadEvent("a CloudEvent needs specversion, id, source and type")
    if message["specversion"] != "1.0":
        raise BadEvent("only version 1.0 of CloudEvents is understood")


def _events(message: dict[str, Any], kind: Any) -> list[Event]:
    data = message.get("data")
    if "data_base64" in message:
        data = _decode(message["data_base64"])
    if data is None and text_or_none(message.get("subject")):
        return [Event(kind, PATH, message["subject"])]
    return read_items(data, kind)


def _decode(text: Any) -> Any:
    try:
        return parse_json(b64decode(str(text), validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadEvent("data_base64 is not Base64") from error


def _delivery_id(ids: list[str]) -> str | None:
    """Return an id for all events of a delivery; source and id together are unique for each."""
    return hashlib.sha256("\n".join(ids).encode("utf-8", "surrogatepass")).hexdigest() if ids else None
