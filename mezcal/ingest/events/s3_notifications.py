"""Events of object stores: S3 and MinIO, as they are, in an SNS envelope, or by way of EventBridge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from mezcal.errors import BadEvent
from mezcal.ingest.events.event import OBJECT, Delivery, Event, Kind, parsed, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

# S3 says `created` of an object that is overwritten, too, so what is stored of it may be of the old one.
BEGINNINGS = (
    ("ObjectCreated:", Kind.CHANGED),
    ("ObjectRestore:Completed", Kind.CREATED),
    ("ObjectRemoved:", Kind.DELETED),
    ("LifecycleExpiration:", Kind.DELETED),
)
BRIDGED = {
    "Object Created": Kind.CHANGED,
    "Object Restore Completed": Kind.CREATED,
    "Object Deleted": Kind.DELETED,
}
ENVELOPES = {"Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"}


def read(body: Any, headers: Mapping[str, str]) -> Delivery:
    """One notification; a list of them where EventBridge or a queue's consumer sends several."""
    if isinstance(body, list) and all(isinstance(one, dict) for one in body):
        several = [read(one, headers) for one in body]
        events = [event for delivery in several for event in delivery.events]
        return Delivery(events, None, next((delivery.note for delivery in several if delivery.note), None))
    if not isinstance(body, dict):
        raise BadEvent("a notification must be an object")
    if "TopicArn" in body and text_of(body.get("Type")) in ENVELOPES:
        return _of_topic(body, headers)
    if "detail-type" in body:
        return _bridged(body)
    if body.get("Event") == "s3:TestEvent":
        return Delivery([], None, "a test event: the way is open")
    records = body.get("Records")
    if not isinstance(records, list):
        raise BadEvent("a notification must have `Records`, or be an envelope of SNS or EventBridge")
    events = [event for record in records if (event := _record(record)) is not None]
    return Delivery(events, None, None if events else "nothing follows from these records")


def _record(record: Any) -> Event | None:
    name = text_of(record.get("eventName")) if isinstance(record, dict) else None
    if name is None:
        raise BadEvent("a record must be an object with an `eventName`")
    plain = name.removeprefix("s3:")
    kind = next((kind for beginning, kind in BEGINNINGS if plain.startswith(beginning)), None)
    if kind is None:
        return None
    try:
        bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        media = text_of(record["s3"]["object"].get("contentType"))  # MinIO tells it
    except (KeyError, TypeError, AttributeError) as error:
        raise BadEvent("a record must name a bucket and a key") from error
    return _of_object(kind, bucket, unquote_plus(str(key)), media)


def _of_object(kind: Kind, bucket: Any, key: Any, media: str | None = None) -> Event | None:
    if text_of(bucket) is None or text_of(key) is None:
        raise BadEvent("a record must name a bucket and a key")
    return None if key.endswith("/") else Event(kind, OBJECT, [bucket, key], media)  # a folder, as consoles make them


def _bridged(body: dict[str, Any]) -> Delivery:
    """EventBridge: its keys are not encoded."""
    kind, identity = BRIDGED.get(str(body["detail-type"])), text_of(body.get("id"))
    if kind is None:
        return Delivery([], identity, f"nothing follows from {body['detail-type']!r}"[:200])
    try:
        event = _of_object(kind, body["detail"]["bucket"]["name"], body["detail"]["object"]["key"])
    except (KeyError, TypeError) as error:
        raise BadEvent("the detail must name a bucket and a key") from error
    return Delivery([event] if event else [], identity)


def _of_topic(body: dict[str, Any], headers: Mapping[str, str]) -> Delivery:
    """What an SNS topic passes on. Its subscription is confirmed by a person: no URL that comes in is ever fetched."""
    identity, topic = text_of(body.get("MessageId")), body.get("TopicArn")
    if body["Type"] != "Notification":
        if body["Type"] == "SubscriptionConfirmation":
            log.warning(
                "SNS asks for a confirmation: `aws sns confirm-subscription` with topic ARN %.200r and token %.600r",
                *(topic, body.get("Token")),
            )
        return Delivery(
            [], identity, "mezcal fetches no URL that it is sent: confirm with the token, which its log has"
        )
    message = parsed(str(body.get("Message", "")).encode("utf-8", "surrogatepass"))
    if not isinstance(message, dict) or "TopicArn" in message:
        raise BadEvent("the message of the envelope must be a notification")
    inner = read(message, headers)
    return Delivery(inner.events, identity, inner.note)
