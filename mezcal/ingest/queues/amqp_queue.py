"""AMQP 0-9-1, with kombu: a queue of RabbitMQ, or a queue of ours that gets all messages of an exchange."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from amqp.exceptions import AMQPError, NotFound
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.messaging import Consumer

from mezcal.ingest.queues.message import TICK_SECONDS, QueueMessage, QueueUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kombu.message import Message

    from mezcal.settings.queue_address import QueueAddress

CONNECT_SECONDS = 10
HEARTBEAT_SECONDS = 10
PREFETCH = 50  # messages that the broker hands over before the first is acknowledged
ERRORS = (OSError, AMQPError, KombuError)


class AmqpQueue:
    """A queue of an AMQP broker. What does not exist yet is declared, durable, so that nothing is missed later."""

    def __init__(self, address: QueueAddress) -> None:
        self._address = address
        exchange = address.options.get("exchange")
        self._exchange = exchange
        self._name = address.options.get("queue") or f"mezcal.{exchange}"
        self._errors = address.options.get("errors") or f"{self._name}.errors"
        self._connection: Connection | None = None
        self._arrived: deque[Message] = deque()

    def probe(self) -> None:
        """Connect; see `MessageQueue`. Nothing is declared: messages would pile up in a queue without a listener."""
        try:
            self._connect()
        except ERRORS as error:
            raise QueueUnreachable(_in_words(error)) from error
        finally:
            self.close()

    def messages(self) -> Iterator[QueueMessage | None]:
        """Connect, consume and yield messages; see `MessageQueue`."""
        try:
            connection = self._connect()
            with Consumer(
                connection, self._queues(connection), on_message=self._arrived.append, prefetch_count=PREFETCH
            ):
                while True:
                    yield self._next(connection)
        except ERRORS as error:
            raise QueueUnreachable(_in_words(error)) from error

    def _next(self, connection: Connection) -> QueueMessage | None:
        if not self._arrived:
            connection.heartbeat_check()
            with suppress(TimeoutError):
                connection.drain_events(timeout=TICK_SECONDS)
        return _message(self._arrived.popleft()) if self._arrived else None

    def _connect(self) -> Connection:
        address = self._address
        self._arrived.clear()
        self._connection = Connection(
            hostname=address.host,
            port=address.port,
            userid=address.user or "guest",
            password=address.password or "guest",
            virtual_host=unquote(address.path.removeprefix("/")) or "/",
            transport="pyamqp",
            ssl={"ca_certs": address.options.get("ca"), "server_hostname": address.host} if address.tls else False,
            heartbeat=HEARTBEAT_SECONDS,
            connect_timeout=CONNECT_SECONDS,
            transport_options={"confirm_publish": True},
        )
        self._connection.connect()
        return self._connection

    def _queues(self, connection: Connection) -> list[Queue]:
        """Returns the queue to consume, which exists then: as it is, or as we declare it."""
        exchange = Exchange(self._exchange, type="fanout", durable=True) if self._exchange else None
        if exchange is not None:
            self._declare(connection, exchange)
        queue = Queue(self._name, durable=True, no_declare=True)  # its consumer takes it with whatever arguments it has
        self._declare(connection, queue)
        if exchange is not None:
            queue(connection.default_channel).bind_to(exchange.name)
        self._declare(connection, Queue(self._errors, durable=True))
        return [queue]

    @staticmethod
    def _declare(connection: Connection, entity: Any) -> None:
        """Declare *entity* unless it exists. A failed look closes its channel, so each look has one of its own."""
        with connection.channel() as channel:
            try:
                if isinstance(entity, Queue):
                    channel.queue_declare(entity.name, passive=True)
                else:
                    channel.exchange_declare(entity.name, entity.type, passive=True)
                return
            except NotFound:
                pass
        with connection.channel() as channel:
            bound = entity(channel)
            bound.queue_declare() if isinstance(entity, Queue) else bound.declare()

    def acknowledge(self, message: QueueMessage) -> None:
        """Acknowledge *message*."""
        try:
            message.settled_by.ack()
        except ERRORS as error:
            raise QueueUnreachable(_in_words(error)) from error

    def reject(self, message: QueueMessage, reason: str) -> None:
        """Publish *message* to the error queue, wait for the broker's confirmation, and acknowledge it."""
        received: Message = message.settled_by
        marks = {"Error": reason, "original-destination": self._exchange or self._name}
        try:
            if self._connection is None:
                raise QueueUnreachable("the connection is closed")
            self._connection.Producer().publish(
                message.body,
                exchange="",
                routing_key=self._errors,
                headers={**(received.headers or {}), **marks},
                content_type=received.content_type or "application/octet-stream",
                content_encoding="binary",  # the body as it came
                delivery_mode=2,
                serializer=None,
            )
            received.ack()
        except ERRORS as error:
            raise QueueUnreachable(_in_words(error)) from error

    def keep_alive(self) -> None:
        """Send a heartbeat if one is due."""
        try:
            if self._connection is not None:
                self._connection.heartbeat_check()
        except ERRORS as error:
            raise QueueUnreachable(_in_words(error)) from error

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*ERRORS, AttributeError):  # AttributeError: py-amqp, of a connection that broke half open
                connection.release()


def _message(received: Message) -> QueueMessage:
    body = received.body.encode() if isinstance(received.body, str) else bytes(received.body)
    headers = {name.lower(): str(value) for name, value in (received.headers or {}).items()}
    redelivered = bool(received.delivery_info.get("redelivered"))
    return QueueMessage(body, headers, received.properties.get("message_id"), redelivered, received)


def _in_words(error: Exception) -> str:
    text = getattr(error, "reply_text", "") or str(error)
    return f"{text or 'the connection broke'} ({type(error).__name__})"
