"""The commands of the roles: `mezcal up` starts them as its parts, a container runs one of them."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mezcal.settings import Settings

PYTHON = (sys.executable, "-P", "-m")  # -P: no module is imported from the working folder
CHORES = "chores"  # the queue of periodic work and other tasks that make no derivative
# The queues of a worker, in strict order: a message is taken from one only while those before it are empty.
LANES = {"interactive": "interactive", "all": f"interactive,{CHORES},bulk"}
PARTNER = "MEZCAL_WORKER_PARTNER"  # variable, set for a worker whose partner reports the metrics of both
STARTING_ROLE = "STARTING_ROLE"  # variable for the program that tries the broker: it may be away for now
# A worker's event loop touches its file every two seconds. A broker that does not answer stops it for up to a minute:
# ten seconds each for housekeeping, events, the check of the connection and the ways to a new one.
SILENT_SECONDS = 90.0
ANSWER_SECONDS = 4.0
SIGN = "ROLE_SIGN"  # variable that names the file in which a role writes how its health can be checked


def worker(queues: str, processes: int, name: str, log_level: str) -> tuple[str, ...]:
    """Return the command of a Celery worker for *queues*; its node is *name*, with the host's name for `%h`."""
    options = {"concurrency": str(processes), "queues": queues, "hostname": name, "loglevel": log_level}
    return (*PYTHON, "worker", *(f"--{option}={value}" for option, value in options.items()))


LISTENER = (*PYTHON, "worker.listen")  # the program that follows LISTEN_URLS


def api(bind: str, processes: int) -> tuple[str, ...]:
    """Return the command of the API under gunicorn at *bind* (HOST:PORT)."""
    return (
        *(*PYTHON, "gunicorn", "--config", "python:api.server.gunicorn", "--bind", bind),
        *("--workers", str(processes)),
    )


def flower(host: str, port: int) -> tuple[str, ...]:
    """Return the command of Flower with a password; `worker.celery_hooks.flower` has its other options."""
    return (*PYTHON, "worker.celery_hooks.flower", f"--address={host}", f"--port={port}")


@dataclass(frozen=True, slots=True)
class HealthSign:
    """How to find out whether a role is healthy: files that it touches, or a URL that answers 200."""

    heartbeats: tuple[Path, ...] = ()
    url: str | None = None

    def write(self) -> None:
        """Write it to the file that ROLE_SIGN names, for `mezcal healthy`. Do nothing without that variable."""
        place = os.environ.get(SIGN)
        if place:
            lines = ["heartbeats", *map(str, self.heartbeats)] if self.heartbeats else ["url", str(self.url)]
            Path(place).write_text("\n".join(lines))

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> HealthSign | None:
        """Return what the role of this container wrote; None if there is nothing."""
        try:
            kind, *values = Path(environ[SIGN]).read_text().splitlines()
        except (KeyError, OSError, ValueError):
            return None
        return cls(heartbeats=tuple(map(Path, values))) if kind == "heartbeats" else cls(url=values[0])

    def healthy(self) -> bool:
        """Return whether the role works at this moment: every event loop of a worker turns, or the URL answers."""
        from urllib.request import urlopen  # noqa: PLC0415 - `mezcal up` keeps clients out of its memory

        try:
            if self.heartbeats:
                return all(time.time() - file.stat().st_mtime < SILENT_SECONDS for file in self.heartbeats)
            with urlopen(self.url or "", timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except OSError:
            return False


def check_origin(settings: Settings) -> None:
    """Raise `WrongSetting` if REPO_BASE_URL or its credential is missing or cannot be used. Nothing is connected.

    A child process does it: the HTTP client would stay in the memory of this one.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as child:
        child.submit(_open_origin, settings).result()


def _open_origin(settings: Settings) -> None:
    import_module("mezcal.origin").open_origin(settings)


def become(argv: Sequence[str], sign: HealthSign, env: Mapping[str, str]) -> int:
    """Replace this process by the program *argv*, so that signals reach it directly. Does not return."""
    sign.write()
    sys.stdout.flush()
    os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - of ours
    return 1
