"""Events of repositories: bodies of every format -> (master, created | changed | deleted).

A module for each format; none knows Flask or Redis. `masters` says which of the named things are masters of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.ingest.events import activitystreams, cloudevents, s3_notifications, standard_webhooks
from mezcal.ingest.events.event import Delivery, Event, Kind, parsed
from mezcal.ingest.events.masters import Ignored, Masters
from mezcal.ingest.events.named_masters import named

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMATS", "Delivery", "Event", "Ignored", "Kind", "Masters", "named", "parsed", "read"]

FORMATS = {
    "standard": standard_webhooks.read,
    "fedora": activitystreams.read,
    "s3": s3_notifications.read,
    "cloudevents": cloudevents.read,
}


def read(form: str, body: bytes, headers: Mapping[str, str]) -> Delivery:
    """What *body* says in the format *form*; *headers* have names in lower case. Raises `BadEvent`."""
    data = None if not body and "ce-specversion" in headers else parsed(body)
    return FORMATS[form](data, headers)
