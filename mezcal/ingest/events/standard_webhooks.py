"""Our own events, in the form of Standard Webhooks: `{"type": "master.updated", "data": {"path": ..}}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import Delivery, text_of
from mezcal.ingest.events.named_masters import kind_of, named

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECTS = {"master", "image"}


def read(body: Any, headers: Mapping[str, str]) -> Delivery:
    """One event or a list of them; types of other subjects are acknowledged and do nothing, as the form wants."""
    said = body if isinstance(body, list) else [body]
    found, others = [], set()
    for one in said:
        type_ = text_of(one.get("type")) if isinstance(one, dict) else None
        if type_ is None:
            raise BadEvent("an event must be an object with a `type`, as master.updated")
        kind = kind_of(type_) if type_.partition(".")[0] in SUBJECTS else None
        if kind is None:
            others.add(type_[:80])
        else:
            found += named(one.get("data"), kind)
    note = f"nothing follows from {', '.join(sorted(others)[:5])}" if others else None
    return Delivery(found, headers.get("webhook-id"), note)
