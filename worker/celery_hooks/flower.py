"""Flower as mezcal runs it: `python -m worker.celery_hooks.flower --address=127.0.0.1 --port=5555`.

A variable FLOWER_<OPTION> in the environment changes any of what is chosen here; an option of the command line, too.
"""

from __future__ import annotations

import copy
import os
import secrets
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery.bin.celery import main as celery
from flower.views.monitor import Metrics
from tornado.options import options
from tornado.web import HTTPError

from mezcal.settings import WrongSetting, load

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from mezcal.settings import Settings

USER = "mezcal"
WRAPPED = "ExceptionWithTraceback()"  # what Celery tells where a process was lost
CHOSEN = {
    "FLOWER_MAX_TASKS": "10000",  # Flower's own 100,000 take 580 MB
    "FLOWER_PERSISTENT": "false",  # what must be kept is in the job table; Flower would pickle what it shows
    "FLOWER_READ_ONLY": "true",  # a task revoked in Flower is sent again: it is the job table that says what is wanted
    "FLOWER_UNAUTHENTICATED_API": "false",
    "FLOWER_PURGE_OFFLINE_WORKERS": "3600",  # seconds; a container that is started again has a new name
    "FLOWER_TASKS_COLUMNS": "name,state,args,kwargs,runtime,received,exception,result,worker,uuid",
    "FLOWER_INSPECT_TIMEOUT": "3000",  # ms; a busy machine needs more than one second
}


def main() -> int:
    """Run Flower until a signal; options beside Flower's defaults come from the command line."""
    settings = load()
    prepare(os.environ, settings)
    Metrics.prepare = _signed_in  # Flower leaves these open whatever its password
    options.format_task = for_people  # a function, so no variable
    sys.argv = ["celery", "-A", "worker.app", "flower", *sys.argv[1:]]
    celery()
    return 0


def prepare(environ: MutableMapping[str, str], settings: Settings) -> None:
    """Put what is chosen, and the password, into *environ*; what an operator has set there stays."""
    for name, value in CHOSEN.items():
        environ.setdefault(name, value)
    if settings.flower_basic_auth is not None:
        environ["FLOWER_BASIC_AUTH"] = settings.flower_basic_auth.get_secret_value()
    elif environ.get("FLOWER_AUTH"):  # a sign-on of Flower's own
        environ.pop("FLOWER_BASIC_AUTH", None)
    else:
        environ["FLOWER_BASIC_AUTH"] = f"{USER}:{password(settings.data_dir.absolute() / 'flower')}"


def password(folder: Path) -> str:
    """The password that is kept in *folder*, made when first needed; for its owner's eyes alone."""
    path = folder / "password"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{secrets.token_urlsafe(18)}\n")
        return path.read_text().strip()
    except OSError as error:
        raise WrongSetting(f"FLOWER_BASIC_AUTH is not set, and none can be kept in {path}: {error.strerror}") from error


def for_people(task: Any) -> Any:
    """*task* with what Celery's events leave out: how long a failed one ran, and why one failed whose process died."""
    told = copy.copy(task)
    ended = task.failed or task.retried
    if task.runtime is None and ended and task.started:
        told.runtime = max(0.0, ended - task.started)
    if task.exception == WRAPPED and task.traceback:
        told.exception = task.traceback.strip().splitlines()[-1].strip(" '\"")
    return told


def _signed_in(handler: Any) -> None:
    """Raise 401 unless the request has Flower's password, or its sign-on."""
    if not handler.current_user:
        raise HTTPError(401)


if __name__ == "__main__":
    sys.exit(main())
