"""What one `mezcal up` reserves before it starts anything: the data folder and the ports."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORPHANS_SECONDS = 15.0  # that the parts of a killed `mezcal up` may take to end
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Folder:
    """The data folder, reserved for this process. A process that inherits *lock* keeps it reserved until it ends."""

    root: Path
    lock: int

    @property
    def run(self) -> Path:
        """The folder for sockets and heartbeat files; nothing in it is needed after a stop."""
        return self.root / "run"


@contextmanager
def claimed(root: Path) -> Iterator[Folder]:
    """Reserve the data folder *root* for this process; it is created if needed. Raises `CannotStart`.

    There are two locks: `mezcal up` holds `up.lock`, every part also holds `parts.lock`. After a kill -9 of `mezcal up`
    the next one waits until the parts have ended: two brokers that append to one file would damage it.
    """
    with ExitStack() as stack:
        try:
            for folder in (root, root / "run", root / "broker"):
                folder.mkdir(mode=0o777 if folder is root else 0o700, parents=True, exist_ok=True)
            own, parts = (_opened(root / "run" / name, stack) for name in ("up.lock", "parts.lock"))
        except OSError as error:
            raise CannotStart(f"the data folder {root} cannot be written: {error.strerror}") from error
        if not _locked(own, patience=0):
            raise CannotStart(f"the data folder {root} is in use by another mezcal{_holder(own)}")
        os.truncate(own, 0)
        os.pwrite(own, str(os.getpid()).encode(), 0)
        stack.callback(os.truncate, own, 0)
        if not _locked(parts, patience=ORPHANS_SECONDS):
            raise CannotStart(f"the data folder {root} is in use by parts of a mezcal that was killed")
        yield Folder(root, parts)


def _opened(path: Path, stack: ExitStack) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _locked(descriptor: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode()
    return f" (process {pid})" if pid else ""


@dataclass(frozen=True, slots=True)
class Address:
    """The address at which a part listens. *host* is as given, *port* is never 0."""

    host: str
    port: int
    loopback: bool

    @property
    def bind(self) -> str:
        """HOST:PORT for the options of servers, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def near(self) -> tuple[str, int]:
        """The address at which this machine reaches it: for a wildcard the loopback address."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port  # noqa: S104

    @property
    def url(self) -> str:
        """The URL for users on this machine."""
        host, port = self.near
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def free_address(host: str, port: int) -> Address:
    """Returns *host* and *port* as an address; port 0 is replaced by a free one. Raises `CannotStart`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(_refusal(host, port, error)) from error
        bound = probe.getsockname()
    return Address(host, bound[1], ipaddress.ip_address(bound[0]).is_loopback)


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use by another program"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"this user may not listen on port {port} of {host}"
    return f"{host} is not an address of this machine: {error.strerror}"
