"""The commands behind each role: what `mezcal up` starts as its parts, and what a container runs alone."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PYTHON = (sys.executable, "-P", "-m")  # -P: no module is taken from whatever folder we were started in
LANES = {"interactive": "interactive", "bulk": "bulk", "both": "interactive,bulk"}
CHORES = "chores"  # the queue of periodic work; whoever takes from bulk takes from it as well
SILENT_SECONDS = 20.0  # a worker's event loop touches its file every two seconds, and stalls for some at times
ANSWER_SECONDS = 4.0
SIGN = "ROLE_SIGN"  # variable that names the file in which a role leaves how its health is told


def worker(queues: str, processes: int, name: str, log_level: str) -> tuple[str, ...]:
    """A Celery worker whose node is *name*, `%h` in it being the host's."""
    options = {
        "pool": "prefork",
        "concurrency": str(processes),
        "queues": queues,
        "hostname": name,
        "loglevel": log_level,
    }
    return (
        *(*PYTHON, "celery", "--quiet", "-A", "worker.app", "worker", "--without-mingle", "--without-gossip"),
        *(f"--{option}={value}" for option, value in options.items()),
    )


def api(bind: str, processes: int) -> tuple[str, ...]:
    """The API under gunicorn at *bind* (HOST:PORT)."""
    return (
        *(*PYTHON, "gunicorn", "--config", "python:api.server.gunicorn", "--bind", bind),
        *("--workers", str(processes), "api:create_app()"),
    )


def flower(host: str, port: int) -> tuple[str, ...]:
    """Celery's dashboard, with a password; `worker.celery_hooks.flower` chooses its other options."""
    return (*PYTHON, "worker.celery_hooks.flower", f"--address={host}", f"--port={port}")


@dataclass(frozen=True, slots=True)
class HealthSign:
    """How it is told whether a role is well: by a file that it touches, or by a URL that answers 200."""

    heartbeat: Path | None = None
    url: str | None = None

    def write(self) -> None:
        """Leave it where `mezcal healthy` looks, if there is such a place: in a container there is."""
        place = os.environ.get(SIGN)
        if place:
            Path(place).write_text(f"heartbeat {self.heartbeat}" if self.heartbeat else f"url {self.url}")

    @classmethod
    def read(cls) -> HealthSign | None:
        """The sign that the role of this container left; None while there is none."""
        try:
            kind, _, what = Path(os.environ[SIGN]).read_text().partition(" ")
        except (KeyError, OSError):
            return None
        return cls(heartbeat=Path(what)) if kind == "heartbeat" else cls(url=what)

    def well(self) -> bool:
        """Whether the role works at this moment."""
        from urllib.request import urlopen  # noqa: PLC0415 - `mezcal up` keeps clients out of its memory

        try:
            if self.heartbeat is not None:
                return time.time() - self.heartbeat.stat().st_mtime < SILENT_SECONDS
            with urlopen(self.url or "", timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except OSError:
            return False


def become(argv: Sequence[str], sign: HealthSign, env: Mapping[str, str]) -> int:
    """Go on as the program *argv*, so that signals reach it and nothing stands beside it; never returns."""
    sign.write()
    sys.stdout.flush()
    os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - of ours
    return 1
