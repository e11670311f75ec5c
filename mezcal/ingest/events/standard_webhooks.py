"""mezcal's own events, in the format of https://www.standardwebhooks.com: `{"type": "master.updated", "data": ..}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import Delivery, text_or_none
from mezcal.ingest.events.named_masters import kind_of, read_items

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECTS = {"master", "image"}


def read(body: Any, headers: Mapping[str, str]) -> Delivery:
    """Read one event or a list. Types of other subjects are accepted and ignored, as the standard asks."""
    messages = body if isinstance(body, list) else [body]
    events, others = [], set()
    for message in messages:
        type_ = text_or_none(message.get("type")) if isinstance(message, dict) else None
        if type_ is None:
            raise BadEvent("an event must be an object with a `type`, such as master.updated")
        kind = kind_of(type_) if type_.partition(".")[0] in SUBJECTS else None
        if kind is None:
            others.add(type_[:80])
        else:
            events += read_items(message.get("data"), kind)
    note = f"nothing follows from {', '.join(sorted(others)[:5])}" if others else None
    return Delivery(events, headers.get("webhook-id"), note)
