"""Flower with mezcal's defaults: `python -m worker.celery_hooks.flower --address=127.0.0.1 --port=5555`.

A variable FLOWER_<OPTION> in the environment, or an option of the command line, changes any of these defaults.
"""

from __future__ import annotations

import copy
import logging
import os
import secrets
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flower.options import options
from flower.views.monitor import Metrics
from tornado.web import HTTPError

from mezcal.settings import WrongSetting, load
from worker.app import app

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from mezcal.settings import Settings

USER = "mezcal"
WRAPPED = "ExceptionWithTraceback()"  # the exception in Celery's event when a pool process was lost
DEFAULTS = {
    "FLOWER_MAX_TASKS": "10000",  # Flower's own 100,000 take 580 MB
    "FLOWER_PERSISTENT": "false",  # the job table is the record; Flower would pickle its tasks
    "FLOWER_READ_ONLY": "true",  # a task that is revoked in Flower is sent again: the job table decides what is made
    "FLOWER_UNAUTHENTICATED_API": "false",
    "FLOWER_PURGE_OFFLINE_WORKERS": "3600",  # seconds; a container that is started again has a new name
    "FLOWER_TASKS_COLUMNS": "name,state,args,kwargs,runtime,received,exception,result,worker,uuid",
    "FLOWER_INSPECT_TIMEOUT": "3000",  # ms; a busy machine needs more than one second
}
# At its start Flower asks workers that have not started yet, and lists the tasks of Celery.
LOG_LEVELS = {"flower.command": logging.WARNING, "flower.inspector": logging.ERROR, "kombu.mixins": logging.WARNING}


def main() -> int:
    """Run Flower until a signal, with the options of the command line. Returns the exit code."""
    settings = load()
    prepare(os.environ, settings)
    Metrics.prepare = _require_login  # Flower leaves its /metrics open even if it has a password
    options.format_task = complete_task  # a function: no variable can set it
    for name, level in LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    app.start(["flower", *sys.argv[1:]])
    return 0


def prepare(environ: MutableMapping[str, str], settings: Settings) -> None:
    """Put mezcal's defaults and the password into *environ*. Variables that an operator has set stay."""
    for name, value in DEFAULTS.items():
        environ.setdefault(name, value)
    if settings.flower_basic_auth is not None:
        environ["FLOWER_BASIC_AUTH"] = settings.flower_basic_auth.get_secret_value()
    elif environ.get("FLOWER_AUTH"):  # Flower's own sign-on
        environ.pop("FLOWER_BASIC_AUTH", None)
    else:
        environ["FLOWER_BASIC_AUTH"] = f"{USER}:{password(settings.data_dir.absolute() / 'flower')}"


def password(folder: Path) -> str:
    """Return the password in *folder*, which only its owner may read. It is made when it is first needed.

    Raises `WrongSetting` if the folder cannot be written.
    """
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


def complete_task(task: Any) -> Any:
    """Return *task* with what Celery's events leave out: how long a failed one ran, and why a process was lost."""
    completed = copy.copy(task)
    ended = task.failed or task.retried
    if task.runtime is None and ended and task.started:
        completed.runtime = max(0.0, ended - task.started)
    if task.exception == WRAPPED and task.traceback:
        completed.exception = task.traceback.strip().splitlines()[-1].strip(" '\"")
    return completed


def _require_login(handler: Any) -> None:
    """Raise 401 unless the request has Flower's password, or its sign-on."""
    if not handler.current_user:
        raise HTTPError(401)


if __name__ == "__main__":
    sys.exit(main())
