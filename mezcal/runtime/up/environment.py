"""Passes the settings of `mezcal up` to its parts in their environment, so that all have the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from mezcal.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def handed_on(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns *environ* with a variable for every setting that was given. Paths are absolute.

    A secret from `NAME_FILE` stays in its file: other users can read environments more easily.
    """
    variables = dict(environ)
    for field in settings.model_fields_set:
        name, by_file = field.upper(), f"{field.upper()}_FILE"
        if environ.get(by_file) and not environ.get(name):
            variables[by_file] = str(Path(environ[by_file]).absolute())
        else:
            variables[name] = _as_text(getattr(settings, field))
    variables["DATA_DIR"] = str(settings.data_dir.absolute())
    variables["STORAGE_DIR"] = str(settings.cache_dir)
    variables["PYTHONUNBUFFERED"] = "1"  # else the lines of a part come in blocks of 8 KiB
    return variables


def limited_to(needed: Collection[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Returns *variables* without the secrets of the settings, and without the files that have them, except *needed*.

    *needed* has names of settings. It is for programs that are not mezcal's own.
    """
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    withheld = {f"{name}{suffix}".upper() for name in secrets.difference(needed) for suffix in ("", "_FILE")}
    return {name: value for name, value in variables.items() if name.upper() not in withheld}


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    return "" if value is None else str(value)
