"""Servers that are dead in three ways, as a repository is seen after a crash, behind a firewall, or when it hangs."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.support.roles import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
HOLDS = 1000  # connections that a silent server takes
FULL_SECONDS = 0.5  # after which a connection that is not open yet will not be: the packets are dropped
KINDS = ("refuses", "swallows", "silent")


@contextmanager
def dead_server(kind: str) -> Iterator[str]:
    """Yield the URL of a server that *refuses* connections, *swallows* their packets, or is *silent* on them."""
    with ExitStack() as stack:
        if kind == "refuses":
            port = free_port()
        elif kind == "swallows":
            port = stack.enter_context(_swallowing())
        else:
            port = stack.enter_context(socket.create_server((HOST, 0), backlog=HOLDS)).getsockname()[1]
        yield f"http://{HOST}:{port}/"


@contextmanager
def _swallowing() -> Iterator[int]:
    """Yield a port whose queue of connections is full: Linux drops the packets of further ones, and answers nothing."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        while _opened(stack.enter_context(socket.socket()), server.getsockname()):
            pass
        yield server.getsockname()[1]


def _opened(client: socket.socket, address: tuple[str, int]) -> bool:
    """Connect *client*. Returns False if the server does not answer."""
    client.settimeout(FULL_SECONDS)
    try:
        client.connect(address)
    except TimeoutError:
        return False
    return True
