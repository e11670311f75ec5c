"""What every queue has: messages, and the two ways in which each of them ends."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FCREPO_URI = "camelfcrepouri"  # the header of umd-fcrepo-messaging and of Camel's fcrepo component
TICK_SECONDS = 1.0  # a queue without messages returns to its listener so often


class QueueUnreachable(Exception):
    """The broker of a queue cannot be reached, or has closed the connection. The text is the reason, for people."""


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One message. The names of *headers* are in lower case.

    *id* is the same when the broker delivers the message again; None if it has none. *redelivered* says that the broker
    may have delivered it before. *settled_by* is its queue's own.
    """

    body: bytes
    headers: Mapping[str, str]
    id: str | None = None
    redelivered: bool = False
    settled_by: Any = field(default=None, repr=False)

    @property
    def digest(self) -> str:
        """A digest of what the producer sent."""
        sent = f"{self.headers.get(FCREPO_URI, '')}\n".encode() + self.body
        return hashlib.sha256(sent).hexdigest()


class MessageQueue(Protocol):
    """A queue that is read by one thread. Every method raises `QueueUnreachable`; then `messages` connects again."""

    def probe(self) -> None:
        """Connect, and leave all messages where they are."""

    def messages(self) -> Iterator[QueueMessage | None]:
        """Connect, and yield messages as they arrive; None about once a second while there are none.

        The broker has handed over only a few that are not settled yet, so a slow listener leaves them with the broker.
        """

    def acknowledge(self, message: QueueMessage) -> None:
        """Have the broker forget *message*: what it asks for is recorded."""

    def reject(self, message: QueueMessage, reason: str) -> None:
        """Move *message* to the error queue with *reason*, so that it is neither lost nor delivered again."""

    def keep_alive(self) -> None:
        """Tell the broker that this client lives, while it waits for something else."""

    def close(self) -> None:
        """Close the connection. The broker delivers again what was not settled."""
