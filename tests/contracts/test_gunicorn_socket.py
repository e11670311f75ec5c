"""gunicorn shows the socket of the client: a wait checks if the client has left, and a time limit shuts it."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.roles import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

APP = """
import socket

def app(environ, start_response):
    connection = environ["gunicorn.socket"]
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RD)
    read = environ["wsgi.input"].read(10)
    start_response("200 OK", [("Connection", "close")])
    return [b"read %d" % len(read)]
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_environment_has_the_socket_and_shutting_it_ends_the_body(tmp_path: Path) -> None:
    (tmp_path / "seam.py").write_text(APP)
    port = free_port()
    options = ["--worker-class", "gthread", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    server = subprocess.Popen([sys.executable, "-m", "gunicorn", *options, "seam:app"], cwd=tmp_path)
    try:
        until(lambda: listens(port), what="gunicorn")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            assert b"read 0" in b"".join(iter(lambda: client.recv(4096), b""))
    finally:
        server.terminate()
        server.wait(20)
