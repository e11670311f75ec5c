"""gunicorn sends its own errors with a function that can be replaced, and a hook can change a request's version."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.roles import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
from gunicorn import util

def write_error(sock, status, reason, message):
    util.write_nonblock(sock, f"HTTP/1.1 {status} {reason}\\r\\n\\r\\nreplaced".encode())

def on_starting(server):
    util.write_error = write_error

def pre_request(worker, request):
    request.version = min(request.version, (1, 1))
"""
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Connection", "close")])
    return [environ["SERVER_PROTOCOL"].encode()]
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_the_error_page_and_the_version_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "seam.py").write_text(APP)
    (tmp_path / "config.py").write_text(CONFIG)
    port = free_port()
    options = ["--config", "config.py", "--worker-class", "gthread", "--bind", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "gunicorn", *options, "--no-control-socket", "seam:app"]
    server = subprocess.Popen(command, cwd=tmp_path)
    try:
        until(lambda: listens(port), what="gunicorn")
        assert exchange(port, b"get / HTTP/1.1\r\n\r\n").endswith(b"HTTP/1.1 400 Bad Request\r\n\r\nreplaced")
        answer = exchange(port, b"GET / HTTP/1.9\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"HTTP/1.1\r\n0\r\n\r\n")
    finally:
        server.terminate()
        server.wait(20)
