"""The URL of a queue: which broker, which queue, and what its messages look like."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from mezcal.errors import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMS = ("auto", "fcrepo-uri", "frames", "fedora", "standard", "s3", "cloudevents")  # of messages
COMMON = frozenset({"form", "errors"})
# Of each scheme: the protocol, its port, whether it uses TLS, and the options that its URL may have.
SCHEMES: Mapping[str, tuple[str, int, bool, frozenset[str]]] = MappingProxyType(
    {
        "stomp": ("stomp", 61613, False, COMMON | {"client-id", "vhost"}),
        "stomp+ssl": ("stomp", 61614, True, COMMON | {"client-id", "vhost", "ca"}),
        "amqp": ("amqp", 5672, False, COMMON | {"queue", "exchange"}),
        "amqps": ("amqp", 5671, True, COMMON | {"queue", "exchange", "ca"}),
        "sqs": ("sqs", 443, True, COMMON | {"region"}),
        "sqs+http": ("sqs", 80, False, COMMON | {"region"}),
    }
)
EXAMPLES = (
    "stomp://user:password@host:61613/queue/images, amqp://user:password@host/vhost?exchange=archived_fits or sqs://"
)


@dataclass(frozen=True, slots=True)
class QueueAddress:
    """Where messages come from.

    *path* is the destination (STOMP), the virtual host (AMQP), or account and queue (SQS).
    """

    protocol: str
    tls: bool
    host: str
    port: int
    path: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str) -> QueueAddress:
        """Read *url*. Raises `WrongSetting` with one line, without the password."""
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise WrongSetting("the URL of a queue cannot be read: its port must be a number") from None
        if "@" in parts.query or "@" in parts.fragment:
            raise WrongSetting("the URL of a queue cannot be read: write ? # @ and , in a password as %3F %23 %40 %2C")
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise WrongSetting(f"the URL of a queue begins with {parts.scheme or 'no scheme'}: it may be {EXAMPLES}..")
        protocol, usual_port, tls, allowed = SCHEMES[parts.scheme]
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(set(options) - allowed):
            raise WrongSetting(
                f"the URL of a queue has the option {unknown[0]}: it may have {', '.join(sorted(allowed))}"
            )
        user, password = (unquote(word) if word else None for word in (parts.username, parts.password))
        address = cls(protocol, tls, parts.hostname, port or usual_port, parts.path, user, password, options)
        address.check()
        return address

    def check(self) -> None:
        """Raise `WrongSetting` if something is missing or cannot be."""
        if self.form not in FORMS:
            raise WrongSetting(f"form={self.form} is not a form of messages: it may be {', '.join(FORMS)}")
        if self.protocol == "stomp" and self.destination in {"", "/"}:
            raise WrongSetting("the URL of a queue names no destination: stomp://host:61613/queue/images")
        if self.protocol == "stomp" and self.errors is None:
            raise WrongSetting(f"{self.destination} has no error queue of its own: add ?errors=/queue/NAME to its URL")
        if self.protocol == "amqp" and not (self.options.get("queue") or self.options.get("exchange")):
            raise WrongSetting("the URL of a queue names neither queue nor exchange: amqp://host/vhost?queue=images")
        if self.protocol == "sqs" and self.path.count("/") != 2:
            raise WrongSetting("the URL of a queue must be as SQS shows it, with sqs:// in place of https://")
        ca = self.options.get("ca")
        if ca and not Path(ca).is_file():
            raise WrongSetting(f"ca={ca} of the URL of a queue is not a file")

    @property
    def form(self) -> str:
        """The form of the messages; `auto` tells it by each message."""
        return self.options.get("form", "auto")

    @property
    def errors(self) -> str | None:
        """The queue for messages that cannot be understood (of STOMP; `errors=` for all). None if none is named.

        Nobody need listen to a topic, so its error queue is a queue.
        """
        if given := self.options.get("errors"):
            return given
        kind, _, name = self.destination.removeprefix("/").partition("/")
        return f"/queue/{name}.errors" if kind in {"queue", "topic"} and name else None

    @property
    def destination(self) -> str:
        """The path as the broker gets it."""
        return unquote(self.path)

    @property
    def shown(self) -> str:
        """The address without user, password and options, for logs and pages."""
        name = self.options.get("queue") or self.options.get("exchange")
        return f"{self.protocol}://{self.host}:{self.port}{self.path.rstrip('/')}{f' ({name})' if name else ''}"
