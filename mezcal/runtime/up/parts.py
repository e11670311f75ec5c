"""What `mezcal up` starts: each part's command, when it is ready, how it is ended."""

from __future__ import annotations

import os
import pwd
import signal
import socket
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from mezcal.runtime import processes as roles
from mezcal.runtime.nginx import NginxConfig, configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mezcal.runtime.up.claim import Address, Folder
    from mezcal.settings import Settings

PAST_DRAIN = 3.0  # seconds, beyond DRAIN_SECONDS, in which a drained part may close what it holds
ANSWER_WITHIN = 2.0  # seconds
NGINX = "nginx"  # the part, and the folder for its files
HANDED = "MEZCAL_METRICS_DIR"  # the folder in which API and worker count together, see telemetry/shared.py


class Rank(IntEnum):
    """Parts start in this order, each rank once the one before is ready, and end in the opposite one."""

    BROKER = 0
    DASHBOARD = 1
    SERVICE = 2
    NGINX = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One program: *grace* is the seconds from the signal *stop* to SIGKILL."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], bool]
    rank: Rank = Rank.SERVICE
    stop: signal.Signals = signal.SIGTERM
    grace: float = 5.0
    orphaned: signal.Signals = signal.SIGKILL  # what the kernel sends it when `up` is gone
    leftovers: tuple[Path, ...] = ()  # files that must not outlast it
    inherits: tuple[int, ...] = ()  # descriptors that its process gets


def api(settings: Settings, folder: Folder, at: Address, env: Mapping[str, str]) -> Part:
    """The API under gunicorn; ready when it answers: hits are served whatever else cannot be used."""
    return Part(
        name="api",
        argv=roles.api(at.bind, settings.api_processes),
        env=env,
        cwd=folder.run,
        ready=partial(answers, at, "/healthz"),
        grace=settings.drain_seconds + PAST_DRAIN,
    )


def nginx(
    settings: Settings, folder: Folder, program: Path, places: tuple[Address, Address], env: Mapping[str, str]
) -> Part:
    """Nginx at the first of *places*, in front of the API at the second; ready when the API answers through it."""
    at, behind = places
    run = folder.run / NGINX
    run.mkdir(mode=0o700, exist_ok=True)
    written = run / "nginx.conf"
    user = pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None  # nginx's default, `nobody`, may not see the store
    config = NginxConfig(at.bind, behind.bind, run, trusted=at.loopback, hits=settings.nginx_hit_log, user=user)
    written.write_text(configuration(settings, config), encoding="utf-8")
    return Part(
        name=NGINX,
        argv=(str(program), "-e", "stderr", "-p", str(run), "-c", str(written)),
        env=env,
        cwd=folder.run,
        ready=partial(answers, at, "/healthz"),
        rank=Rank.NGINX,
        stop=signal.SIGQUIT,  # finish the answers, close the connections that are kept alive
        grace=settings.drain_seconds + PAST_DRAIN,
        orphaned=signal.SIGTERM,  # nginx ends its own processes; the kernel does not
        leftovers=(run / "nginx.pid",),
    )


def dashboard(folder: Folder, at: Address, env: Mapping[str, str]) -> Part:
    """Flower, which asks for a password; `worker.celery_hooks.flower` chooses its other options."""
    return Part(
        name="flower",
        argv=roles.flower(at.host, at.port),
        env=env,
        cwd=folder.run,
        ready=partial(answers, at, "/healthcheck"),
        rank=Rank.DASHBOARD,
    )


def answers(at: Address, path: str) -> bool:
    """Whether GET *path* gets a 200; asked by hand, to keep an HTTP client out of the memory of `up`."""
    try:
        with socket.create_connection(at.near, timeout=ANSWER_WITHIN) as line:
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return line.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False
