"""Says in words why Redis cannot be used, and what to do about it."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

from redis import AuthenticationError, BusyLoadingError, ResponseError, TimeoutError  # noqa: A004 - redis' own
from redis.exceptions import NoPermissionError
from redis.sentinel import MasterNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fault(NamedTuple):
    """What is wrong with the broker, and what to do. It begins in the middle of a sentence: "the broker cannot .."."""

    detail: str
    hint: str

    def __str__(self) -> str:
        return f"{self.detail} -> {self.hint}"


UNKNOWN_AUTHORITY = Fault(
    "its certificate is signed by an authority that is not known here",
    "set REDIS_TLS_CA to the file with the certificate of that authority",
)
OTHER_NAME = Fault("its certificate is for another name", "name the server in REDIS_URL as its certificate does")
CERTIFICATES = {  # by the codes of OpenSSL (X509_V_ERR_..)
    9: Fault("its certificate is not valid yet", "compare the clocks of both machines"),
    10: Fault("its certificate has expired", "renew the certificate of the server"),
    **dict.fromkeys((2, 18, 19, 20, 21), UNKNOWN_AUTHORITY),
    **dict.fromkeys((62, 64), OTHER_NAME),
}
OWN_CERTIFICATE = Fault(
    "it refuses the certificate of this client, or gets none", "set REDIS_TLS_CERT and REDIS_TLS_KEY to a valid pair"
)
NO_TLS = Fault("it does not speak TLS at this port", "write redis:// in REDIS_URL, or name the port for TLS")
NO_PASSWORD = Fault("it wants a password, and none is set", "set REDIS_PASSWORD")
WRONG_PASSWORD = Fault("it refuses the user or the password", "correct REDIS_PASSWORD, or the user in REDIS_URL")
UNKNOWN_COMMAND = Fault(
    "it does not know all commands: it is too old, or a proxy stands in front of it",
    "install Redis 6.2 or later, or any Valkey, and name it without a proxy",
)
CLOSED = Fault(
    "it closes the connection without an answer",
    "write rediss:// if it speaks TLS, set REDIS_TLS_CERT if it wants one, or look at its log",
)
SERVER_NAMED = "check the server that REDIS_URL names"
START = f"start `mezcal up`, or {SERVER_NAMED}"
# By the kind of an error or of one of its causes; the first that fits says most.
KINDS: tuple[tuple[type[BaseException], Fault], ...] = (
    (NoPermissionError, Fault("its user may not run a command", "give the user all commands on KEY_PREFIX* and INFO")),
    (MasterNotFoundError, Fault("no sentinel names a master", "check REDIS_MASTER, and the sentinels of REDIS_URL")),
    (BusyLoadingError, Fault("it still loads its state", "wait: it answers when all is read")),
    (socket.gaierror, Fault("its name cannot be found", "correct the name in REDIS_URL, or look at the name service")),
    (ConnectionRefusedError, Fault("it refuses connections: it is down", START)),
    (
        FileNotFoundError,
        Fault("its socket, or a file of REDIS_TLS_*, is missing", START),
    ),
    (PermissionError, Fault("its socket or a file of REDIS_TLS_* may not be opened", "look at their owners and modes")),
    (TimeoutError, Fault("it does not answer in time", "look at its machine, and at the network in between")),
    (ConnectionError, CLOSED),
)


def describe(error: BaseException) -> Fault:
    """Return what *error* of redis-py says about the broker. It names no password."""
    chain = list(causes(error))
    for cause in chain:
        found = _of_tls(cause) or _of_server(cause)
        if found is not None:
            return found
    for kind, fault in KINDS:
        if any(isinstance(cause, kind) for cause in chain):
            return fault
    if "Connection closed" in str(error):
        return CLOSED
    text = " ".join(str(error).split())[:200]
    return Fault(f"{type(error).__name__}: {text}", SERVER_NAMED)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error*, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_tls(cause: BaseException) -> Fault | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        other = Fault(f"its certificate is refused: {cause.verify_message}", "correct the certificate of the server")
        return CERTIFICATES.get(cause.verify_code, other)
    if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
        return OWN_CERTIFICATE
    if isinstance(cause, ssl.SSLEOFError):
        return CLOSED
    if isinstance(cause, ssl.SSLError) or "handshake operation timed out" in str(cause):
        return NO_TLS
    return None


def _of_server(cause: BaseException) -> Fault | None:
    text = str(cause)
    if isinstance(cause, AuthenticationError):
        return NO_PASSWORD if "HELLO must be called" in text or "required" in text else WRONG_PASSWORD
    return UNKNOWN_COMMAND if isinstance(cause, ResponseError) and "unknown command" in text else None
