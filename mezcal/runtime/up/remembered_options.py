"""Lets commands find the origin, the store and the queue of the `mezcal up` that runs with the same data folder."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mezcal import sample, settings
from mezcal.settings.other_names import spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE = "options.json"  # in the run folder
OF_THE_QUEUE = {"redis_url", "cache_use_log", "sendfile_header"}  # of no use after a stop


@contextmanager
def options_saved(run: Path, options: Mapping[str, str]) -> Iterator[None]:
    """Keep *options* in a file in the folder *run* during the block, readable for this user only.

    This process holds a lock on the file. The kernel releases it however the process ends, so a file without a lock
    is that of a `mezcal up` that was stopped or killed.
    """
    draft, path = run / f".{FILE}", run / FILE
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(options, file)
        file.flush()
        draft.replace(path)  # the file appears whole, and locked
        yield


def saved_options(run: Path) -> dict[str, str] | None:
    """Returns the options of the `mezcal up` that uses the folder *run*, None if none runs or it is another user's."""
    options, running = _read(run)
    return options if running else None


def _read(run: Path) -> tuple[dict[str, str], bool]:
    """Returns what the last `mezcal up` in the folder *run* saved, and whether it runs."""
    try:
        with (run / FILE).open() as file:
            return dict(json.load(file)), _is_locked(file)
    except (OSError, ValueError):
        return {}, False


def settings_with_saved_options(**given: Any) -> settings.Settings:
    """Read the settings of a command whose own options are *given*. Raises `WrongSetting`.

    If a `mezcal up` runs with the same data folder, its options override `.env`, and the environment of the command
    overrides both. After it was stopped, its origin and its store are still known, unless settings name others.
    """
    alone = settings.load(**given)
    data = alone.data_dir.absolute()
    options, running = _read(data / "run")
    if not running:
        if not options or alone.origins or alone.storage_dir is not None:
            return alone
        options = {name: value for name, value in options.items() if name not in OF_THE_QUEUE}
    in_environment = {name.upper().removesuffix("_FILE") for name, value in os.environ.items() if value}
    inherited = {name: value for name, value in options.items() if not in_environment.intersection(spelled(name))}
    if not inherited.keys() & {"repo_base_url", "origins_file"} and inherited.get("storage_dir", "").startswith(
        f"{data}/"
    ):
        del inherited["storage_dir"]  # it is that of the other origin
    chosen = settings.load(**inherited | given)
    if not chosen.origins:
        chosen = settings.load(**inherited | given, repo_base_url=sample.FOLDER.as_uri())
    return chosen


def _is_locked(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
