"""Events that come by message queues, as those of webhooks: from STOMP, AMQP and SQS.

`settings.queue_address` reads the URL of a queue, `forms` a message, `listener` is the loop. Each protocol has a
module of its own, with a `MessageQueue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.ingest.queues.listener import QueueListener
from mezcal.ingest.queues.message import MessageQueue, QueueMessage, QueueUnreachable
from mezcal.settings.queue_address import QueueAddress

if TYPE_CHECKING:
    from mezcal.settings import Settings

__all__ = [
    "MessageQueue",
    "QueueAddress",
    "QueueListener",
    "QueueMessage",
    "QueueUnreachable",
    "open_queue",
]


def open_queue(address: QueueAddress, settings: Settings) -> MessageQueue:
    """Returns the queue at *address*. It connects when its messages are first asked for. Raises `WrongSetting`."""
    # Each protocol has a library of its own, and a listener needs one of them.
    if address.protocol == "stomp":
        from mezcal.ingest.queues.stomp_queue import StompQueue  # noqa: PLC0415

        return StompQueue(address)
    if address.protocol == "amqp":
        from mezcal.ingest.queues.amqp_queue import AmqpQueue  # noqa: PLC0415

        return AmqpQueue(address)
    from mezcal.ingest.queues.sqs_queue import SqsQueue  # noqa: PLC0415

    return SqsQueue(address, settings)
