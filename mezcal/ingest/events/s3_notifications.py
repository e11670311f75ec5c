"""Notifications of S3 and MinIO: direct, in an SNS envelope, or through EventBridge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import OBJECT, Delivery, Event, EventKind, parse_json, text_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

# S3 says `created` for an overwritten object, too: the stored derivative may be of the old one.
PREFIXES = (
    ("ObjectCreated:", EventKind.CHANGED),
    ("ObjectRestore:Completed", EventKind.CREATED),
    ("ObjectRemoved:", EventKind.DELETED),
    ("LifecycleExpiration:", EventKind.DELETED),
)
EVENTBRIDGE = {
    "Object Created": EventKind.CHANGED,
    "Object Restore Completed": EventKind.CREATED,
    "Object Deleted": EventKind.DELETED,
}
ENVELOPES = {"Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"}


def read(body: Any, headers: Mapping[str, str]) -> Delivery:
    """Read one notification, or a list as EventBridge and consumers of queues send it."""
    if isinstance(body, list) and all(isinstance(notification, dict) for notification in body):
        deliveries = [read(notification, headers) for notification in body]
        events = [event for delivery in deliveries for event in delivery.events]
        return Delivery(events, None, next((delivery.note for delivery in deliveries if delivery.note), None))
    if not isinstance(body, dict):
        raise BadEvent("a notification must be an object")
    if "TopicArn" in body and text_or_none(body.get("Type")) in ENVELOPES:
        return _read_sns(body, headers)
    if "detail-type" in body:
        return _read_eventbridge(body)
    if body.get("Event") == "s3:TestEvent":
        return Delivery([], None, "a test event: the connection works")
    records = body.get("Records")
    if not isinstance(records, list):
        raise BadEvent("a notification must have `Records`, or be an envelope of SNS or EventBridge")
    events = [event for record in records if (event := _read_record(record)) is not None]
    return Delivery(events, None, None if events else "nothing follows from these records")


def _read_record(record: Any) -> Event | None:
    name = text_or_none(record.get("eventName")) if isinstance(record, dict) else None
    if name is None:
        raise BadEvent("a record must be an object with an `eventName`")
    plain = name.removeprefix("s3:")
    kind = next((kind for prefix, kind in PREFIXES if plain.startswith(prefix)), None)
    if kind is None:
        return None
    try:
        bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        media = text_or_none(record["s3"]["object"].get("contentType"))  # MinIO gives it
    except (KeyError, TypeError, AttributeError) as error:
        raise BadEvent("a record must name a bucket and a key") from error
    return _of_object(kind, bucket, unquote_plus(str(key)), media)


def _of_object(kind: EventKind, bucket: Any, key: Any, media: str | None = None) -> Event | None:
    if text_or_none(bucket) is None or text_or_none(key) is None:
        raise BadEvent("a record must name a bucket and a key")
    return None if key.endswith("/") else Event(kind, OBJECT, [bucket, key], media)  # a folder, as consoles make them


def _read_eventbridge(body: dict[str, Any]) -> Delivery:
    """Read an event of EventBridge, whose keys are not encoded."""
    kind, identity = EVENTBRIDGE.get(str(body["detail-type"])), text_or_none(body.get("id"))
    if kind is None:
        return Delivery([], identity, f"nothing follows from {body['detail-type']!r}"[:200])
    try:
        event = _of_object(kind, body["detail"]["bucket"]["name"], body["detail"]["object"]["key"])
    except (KeyError, TypeError) as error:
        raise BadEvent("the detail must name a bucket and a key") from error
    return Delivery([event] if event else [], identity)


def _read_sns(body: dict[str, Any], headers: Mapping[str, str]) -> Delivery:
    """Read a message of an SNS topic. An operator confirms the subscription: no URL in a request is ever fetched."""
    identity, topic = text_or_none(body.get("MessageId")), body.get("TopicArn")
    if body["Type"] != "Notification":
        if body["Type"] == "SubscriptionConfirmation":
            log.warning(
                "SNS asks for a confirmation: `aws sns confirm-subscription` with topic ARN %.200r and token %.600r",
                *(topic, body.get("Token")),
            )
        return Delivery(
            [], identity, "mezcal fetches no URL that it is sent: confirm with the token, which is in its log"
        )
    message = parse_json(str(body.get("Message", "")).encode("utf-8", "surrogatepass"))
    if not isinstance(message, dict) or "TopicArn" in message:
        raise BadEvent("the message of the envelope must be a notification")
    inner = read(message, headers)
    return Delivery(inner.events, identity, inner.note)
