"""TLS in front of a server that has none, with certificates made for a test."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it signed for the server and for its clients."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def certificates(folder: Path) -> Certificates:
    """Made by openssl, good for a day."""
    folder.mkdir()

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj")
    may_sign = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 accepts no other authority
    openssl("req", "-x509", *made, "/CN=authority", *may_sign, "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nauthorityKeyIdentifier=keyid\n")
        openssl("req", *made, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return Certificates(folder)


@contextmanager
def tls_front(made: Certificates, behind: int, *, ask_clients: bool = True) -> Iterator[int]:
    """A port that passes on to the port *behind*; with *ask_clients* only clients with a certificate are let in."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(made.ca))
    context.verify_mode = ssl.CERT_REQUIRED if ask_clients else ssl.CERT_NONE
    context.load_cert_chain(made.certificate("server"), made.key("server"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, context, behind), daemon=True).start()
        yield listening.getsockname()[1]


def _serve(listening: socket.socket, context: ssl.SSLContext, behind: int) -> None:
    with suppress(OSError):
        while True:
            line, _ = listening.accept()
            threading.Thread(target=_pass_on, args=(line, context, behind), daemon=True).start()


def _pass_on(line: socket.socket, context: ssl.SSLContext, behind: int) -> None:
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", behind)) as inner,
        context.wrap_socket(line, server_side=True) as outer,
    ):
        outer.settimeout(0.02)  # one thread for both ways: TLS sockets are no streams to select on
        inner.settimeout(0.02)
        while _moved(outer, inner) and _moved(inner, outer):
            pass


def _moved(source: socket.socket, target: socket.socket) -> bool:
    """False at the end of *source*."""
    try:
        data = source.recv(65_536)
    except TimeoutError:
        return True
    if data:
        target.sendall(data)
    return bool(data)
