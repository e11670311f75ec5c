"""The parts that `mezcal up` starts: the command of each, when it is ready, and how it is stopped."""

from __future__ import annotations

import os
import pwd
import resource
import signal
import socket
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from mezcal.runtime import processes as roles
from mezcal.runtime.nginx import OPEN_FILES, NginxConfig, configuration
from mezcal.runtime.up.environment import limited_to

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mezcal.runtime.address import Address
    from mezcal.runtime.up.claim import Folder
    from mezcal.settings import Settings

CLOSING_SECONDS = 3.0  # added to DRAIN_SECONDS: a part that has finished its work closes files and connections
ANSWER_SECONDS = 2.0
NGINX = "nginx"  # the part, and the folder for its files
FLOWER_SECRETS = ("redis_url", "redis_password", "redis_sentinel_password", "flower_basic_auth")


class Rank(IntEnum):
    """The order of the parts. A rank starts when the one before is ready; they are stopped in reverse order."""

    BROKER = 0
    DASHBOARD = 1
    SERVICE = 2
    NGINX = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One program. It is stopped by the signal *stop*, and killed *grace* seconds later."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], bool]
    rank: Rank = Rank.SERVICE
    stop: signal.Signals = signal.SIGTERM
    grace: float = 5.0
    orphan_signal: signal.Signals = signal.SIGKILL  # sent by the kernel when `mezcal up` has died
    leftovers: tuple[Path, ...] = ()  # files that are removed when it has ended
    inherits: tuple[int, ...] = ()  # descriptors that its process gets
    not_logged: re.Pattern[bytes] | None = None  # lines that nobody can act on
    # Called with its last lines when it has ended. Returns a line about what it did so that the next start succeeds.
    repair: Callable[[list[str]], str | None] = lambda _: None


def api(settings: Settings, folder: Folder, address: Address, env: Mapping[str, str]) -> Part:
    """Returns the API under gunicorn. It is ready when it answers: hits are served even if other parts fail."""
    return Part(
        name="api",
        argv=roles.api(address.bind, settings.api_processes),
        env=env,
        cwd=folder.run,
        ready=partial(answers, address, "/healthz"),
        grace=settings.drain_seconds + CLOSING_SECONDS,
    )


def listener(settings: Settings, folder: Folder, env: Mapping[str, str]) -> Part:
    """Returns the listener of LISTEN_URLS. It is ready at once: a queue may be away for as long as it likes."""
    heartbeat = folder.memory / "listen.alive"
    urls = ",".join(url.get_secret_value() for url in settings.listen_urls)
    return Part(
        name="listen",
        argv=roles.LISTENER,
        env={**env, "LISTEN_URLS": urls, "WORKER_HEARTBEAT": str(heartbeat)},
        cwd=folder.run,
        ready=lambda: True,
        grace=CLOSING_SECONDS + ANSWER_SECONDS,
        leftovers=(heartbeat,),
    )


def nginx(
    settings: Settings, folder: Folder, program: Path, addresses: tuple[Address, Address], env: Mapping[str, str]
) -> Part:
    """Returns nginx at the first of *addresses*. It is ready when the API, at the second, answers through it."""
    address, api_address = addresses
    run = folder.run / NGINX
    run.mkdir(mode=0o700, exist_ok=True)
    config_file = run / "nginx.conf"
    user = pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None  # nginx's default, `nobody`, may not read the store
    config = NginxConfig(
        address.bind,
        api_address.bind,
        run,
        trusted=address.loopback,
        hits=settings.nginx_hit_log,
        user=user,
        open_files=_open_files_of_nginx(),
    )
    config_file.write_text(configuration(settings, config), encoding="utf-8")
    return Part(
        name=NGINX,
        argv=(str(program), "-e", "stderr", "-p", str(run), "-c", str(config_file)),
        env=limited_to((), env),
        cwd=folder.run,
        ready=partial(answers, address, "/healthz"),
        rank=Rank.NGINX,
        stop=signal.SIGQUIT,  # nginx finishes its responses and closes idle connections
        grace=settings.drain_seconds + CLOSING_SECONDS,
        orphan_signal=signal.SIGTERM,  # nginx stops its own processes; the kernel would not
        leftovers=(run / "nginx.pid",),
    )


def _open_files_of_nginx() -> int:
    """Returns as many open files as nginx wants, or as the hard limit of this process allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)


def dashboard(folder: Folder, address: Address, env: Mapping[str, str]) -> Part:
    """Returns Flower, which requires a password; `worker.celery_hooks.flower` has its other options."""
    return Part(
        name="flower",
        argv=roles.flower(address.host, address.port),
        env=limited_to(FLOWER_SECRETS, env),
        cwd=folder.run,
        ready=partial(answers, address, "/healthcheck"),
        rank=Rank.DASHBOARD,
    )


def answers(address: Address, path: str) -> bool:
    """Returns True if GET *path* is answered by 200. An HTTP client would stay in the memory of `mezcal up`."""
    try:
        with socket.create_connection(address.near, timeout=ANSWER_SECONDS) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False
