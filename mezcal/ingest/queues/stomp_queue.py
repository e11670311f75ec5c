"""STOMP 1.2: a queue or a durable topic of ActiveMQ or RabbitMQ."""

from __future__ import annotations

import queue
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import stomp
from stomp.exception import StompException

from mezcal.ingest.queues.message import TICK_SECONDS, QueueMessage, QueueUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stomp.utils import Frame

    from mezcal.settings.queue_address import QueueAddress

CONNECT_SECONDS = 10
HEARTBEAT_MS = 10_000  # a broker that is silent for longer than 1.5 times this is given up
PREFETCH = "50"  # messages that the broker hands over before the first is acknowledged
SUBSCRIPTION = "mezcal"
ERRORS = (OSError, StompException)
# Headers of a delivery, which the copy in the error queue must not repeat.
OF_THE_DELIVERY = frozenset(
    {
        *("ack", "subscription", "message-id", "destination", "content-length", "redelivered"),
        *("receipt", "transaction"),  # of whoever sent it
    }
)


class _Incoming(stomp.ConnectionListener):  # type: ignore[misc]  # the library has no types
    """Passes what the library's thread receives to the thread that listens."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def on_connected(self, _frame: Frame) -> None:
        """Say that the broker has accepted the connection."""
        self.events.put(("connected", None))

    def on_message(self, frame: Frame) -> None:
        """Pass a message on."""
        self.events.put(("message", frame))

    def on_error(self, frame: Frame) -> None:
        """Pass the broker's complaint on; it closes the connection after it."""
        self.events.put(("gone", frame.headers.get("message") or frame.body))

    def on_receipt(self, frame: Frame) -> None:
        """Pass the broker's confirmation on."""
        self.events.put(("receipt", frame.headers.get("receipt-id")))

    def on_disconnected(self) -> None:
        """Say that the connection is gone."""
        self.events.put(("gone", "the broker closed the connection"))

    def on_heartbeat_timeout(self) -> None:
        """Say that the broker is silent."""
        self.events.put(("gone", "the broker has been silent for too long"))


class StompQueue:
    """A destination of a STOMP broker. A topic is subscribed to durably if the URL has a `client-id`."""

    def __init__(self, address: QueueAddress) -> None:
        self._address = address
        self._errors = address.errors
        self._connection: Any = None
        self._incoming = _Incoming()
        self._arrived: deque[Frame] = deque()  # messages that came while we waited for something else

    def probe(self) -> None:
        """Connect, under no client id, which the listener may have now; see `MessageQueue`."""
        try:
            self._connect({})
        finally:
            self.close()

    def messages(self) -> Iterator[QueueMessage | None]:
        """Connect, subscribe and yield messages; see `MessageQueue`."""
        client = self._address.options.get("client-id")
        self._connect({"client-id": client} if client else {})
        self._subscribe()
        while True:
            if self._arrived:
                yield _message(self._arrived.popleft())
                continue
            kind, value = self._next(TICK_SECONDS)
            if kind == "message":
                yield _message(value)
            elif kind == "nothing":
                yield None

    def _next(self, seconds: float) -> tuple[str, Any]:
        try:
            kind, value = self._incoming.events.get(timeout=seconds)
        except queue.Empty:
            return "nothing", None
        if kind == "gone":
            raise QueueUnreachable(str(value))
        return kind, value

    def _connect(self, headers: dict[str, str]) -> None:
        address, options = self._address, self._address.options
        self._incoming = _Incoming()
        self._arrived.clear()
        self._connection = stomp.StompConnection12(
            [(address.host, address.port)],
            try_loopback_connect=False,
            reconnect_attempts_max=1,
            timeout=CONNECT_SECONDS,
            heartbeats=(HEARTBEAT_MS, HEARTBEAT_MS),
            vhost=options.get("vhost", "/"),  # RabbitMQ's default; ActiveMQ does not look at it
            auto_decode=False,
        )
        if address.tls:
            self._connection.set_ssl([(address.host, address.port)], ca_certs=options.get("ca"))
        self._connection.set_listener("mezcal", self._incoming)
        try:
            self._connection.connect(address.user, address.password, wait=False, headers=headers)
        except ERRORS as error:
            raise QueueUnreachable(f"cannot be reached ({type(error).__name__})") from error
        if self._next(CONNECT_SECONDS)[0] != "connected":
            raise QueueUnreachable(f"accepted the connection and said nothing for {CONNECT_SECONDS} s")

    def _subscribe(self) -> None:
        headers = self._subscription_headers()
        try:
            self._connection.subscribe(
                self._address.destination, id=SUBSCRIPTION, ack="client-individual", headers=headers
            )
        except ERRORS as error:
            raise QueueUnreachable(f"closed the connection ({type(error).__name__})") from error

    def _subscription_headers(self) -> dict[str, str]:
        headers = {"activemq.prefetchSize": PREFETCH, "prefetch-count": PREFETCH}
        if "client-id" in self._address.options:  # ActiveMQ, then RabbitMQ
            headers |= {"activemq.subscriptionName": SUBSCRIPTION, "durable": "true", "auto-delete": "false"}
        return headers

    def acknowledge(self, message: QueueMessage) -> None:
        """Acknowledge *message*."""
        try:
            self._connection.ack(message.settled_by.headers["ack"])
        except ERRORS as error:
            raise QueueUnreachable(f"closed the connection ({type(error).__name__})") from error

    def reject(self, message: QueueMessage, reason: str) -> None:
        """Send *message* to the error queue, wait for the broker's receipt, and acknowledge it.

        The copy has the headers of umd-lib/image-fetcher: `Error` and `original-destination`. A transaction would not
        do: the receipt of RabbitMQ's COMMIT does not say that the copy is on its disk, that of a persistent SEND does.
        """
        frame: Frame = message.settled_by
        kept = {name: value for name, value in frame.headers.items() if name.lower() not in OF_THE_DELIVERY}
        headers = kept | {"Error": reason, "original-destination": self._address.destination, "persistent": "true"}
        name = uuid4().hex
        try:
            self._connection.send(self._errors, message.body, headers=headers, receipt=name)
        except ERRORS as error:
            raise QueueUnreachable(f"closed the connection ({type(error).__name__})") from error
        self._await_receipt(name)
        self.acknowledge(message)

    def _await_receipt(self, name: str) -> None:
        """Wait until the broker has the message *name* on its disk. Those that arrive meanwhile keep their order."""
        ends = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < ends:
            kind, value = self._next(TICK_SECONDS)
            if kind == "message":
                self._arrived.append(value)
            elif kind == "receipt" and value == name:
                return
        raise QueueUnreachable("did not confirm that a message was moved to the error queue")

    def keep_alive(self) -> None:
        """Do nothing: the library's own threads send the heartbeats."""

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(*ERRORS):
                self._connection.disconnect(receipt=None)
            with suppress(*ERRORS):
                self._connection.transport.disconnect_socket()
            with suppress(*ERRORS):
                self._connection.transport.stop()
            self._connection = None


def _message(frame: Frame) -> QueueMessage:
    headers = {name.lower(): value for name, value in frame.headers.items()}
    body = frame.body.encode() if isinstance(frame.body, str) else frame.body or b""
    return QueueMessage(body, headers, _stable_id(headers), headers.get("redelivered") == "true", frame)


def _stable_id(headers: dict[str, str]) -> str | None:
    """Returns the id that a message keeps when it is delivered again.

    ActiveMQ's begins with `ID:`. RabbitMQ's `message-id` is of this connection; the producer's own is another header.
    """
    own = headers.get("message-id", "")
    return own if own.startswith("ID:") else headers.get("amqp-message-id")
