"""The address that a program listens on: how it is written, and how this machine reaches it."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from mezcal.errors import CannotStart


@dataclass(frozen=True, slots=True)
class Address:
    """The address at which a program listens. *host* is as given; *loopback*: only this machine can reach it."""

    host: str
    port: int
    loopback: bool

    @property
    def bind(self) -> str:
        """HOST:PORT for the options of servers, an IPv6 address in brackets."""
        return _joined(self.host, self.port)

    @property
    def near(self) -> tuple[str, int]:
        """The address at which this machine reaches it: for a wildcard the loopback address."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port  # noqa: S104

    @property
    def url(self) -> str:
        """The URL for users on this machine."""
        return f"http://{_joined(*self.near)}/"


def is_loopback(host: str) -> bool:
    """Returns True if *host* is an address of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_address(host: str, port: int, option: str = "--port") -> Address:
    """Returns *host* and *port* as an address; port 0 is replaced by a free one.

    Raises `CannotStart`; *option* is the one that names the port.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(_refusal(host, port, option, error)) from error
        bound = probe.getsockname()
    return Address(host, bound[1], is_loopback(bound[0]))


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _refusal(host: str, port: int, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use by another program: stop it, or name another port with {option}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"this user may not listen on port {port} of {host}"
    return f"{host} is not an address of this machine: {error.strerror}"
