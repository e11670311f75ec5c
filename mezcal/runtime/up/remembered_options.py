"""What the `mezcal up` of a data folder was told by its options, for the commands that are typed beside it."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mezcal import sample, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE = "told.json"  # in the folder of what runs; by setting, what an option gave it


@contextmanager
def left_in(run: Path, told: Mapping[str, str]) -> Iterator[None]:
    """Leave *told* in the folder *run* until the end, for our own user alone.

    This process holds a lock on the file. The kernel lifts it however the process ends, so a file without one is that
    of a killed `up`.
    """
    draft, path = run / f".{FILE}", run / FILE
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(told, file)
        file.flush()
        draft.replace(path)  # whoever finds it finds it whole, and locked
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def told_in(run: Path) -> dict[str, str] | None:
    """What the `up` that runs with the folder *run* was told; None where none runs, or not for us to see."""
    try:
        with (run / FILE).open() as file:
            return dict(json.load(file)) if _held(file) else None
    except (OSError, ValueError):
        return None


def settings_beside(**given: Any) -> settings.Settings:
    """The settings of a command that has *given* by options of its own: as `load`, but beside a running `up`.

    What that was told goes before `.env`, as it does there; the command's environment goes before both. Raises
    `WrongSetting`.
    """
    alone = settings.load(**given)
    told = told_in(alone.data_dir.absolute() / "run")
    if told is None:
        return alone
    said = {name for name, value in os.environ.items() if value}
    news = {name: value for name, value in told.items() if not said & {name.upper(), name, f"{name.upper()}_FILE"}}
    beside = settings.load(**news, **given)
    if beside.repo_base_url is None:
        beside = settings.load(**news, **given, repo_base_url=sample.FOLDER.as_uri())
    return beside


def _held(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
