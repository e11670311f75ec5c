"""Events of repositories, read from the bodies of webhooks in each format.

There is a module for each format; none imports Flask or Redis. `masters` finds the masters that events name.

A new format needs: a module here with `read(body, headers)`, a line in `READERS`, its name in the `enum` of
`/webhooks/{format_name}` in api/openapi.yaml and in the help of `mezcal_deliveries` in mezcal/telemetry/metrics.py
(then `make docs`), a section in docs/webhooks.md, and samples in tests/unit/ingest/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.ingest.events import activitystreams, cloudevents, s3_notifications, standard_webhooks
from mezcal.ingest.events.event import Delivery, Event, EventKind, parse_json
from mezcal.ingest.events.masters import EventIgnored, MasterResolver
from mezcal.ingest.events.named_masters import in_profiles, read_items, read_list

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "READERS",
    "Delivery",
    "Event",
    "EventIgnored",
    "EventKind",
    "MasterResolver",
    "in_profiles",
    "parse_json",
    "read",
    "read_items",
    "read_list",
]

READERS = {
    "standard": standard_webhooks.read,
    "fedora": activitystreams.read,
    "s3": s3_notifications.read,
    "cloudevents": cloudevents.read,
}


def read(format_name: str, body: bytes, headers: Mapping[str, str]) -> Delivery:
    """Read *body*, which has the format *format_name*; the names of *headers* are in lower case. Raises `BadEvent`."""
    data = None if not body and "ce-specversion" in headers else parse_json(body)
    return READERS[format_name](data, headers)
