"""Passes the settings of `mezcal up` to its parts in their environment, so that all have the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from mezcal.settings import Settings
from mezcal.settings.other_names import OTHER_NAMES_GIVEN, spelled
from mezcal.settings.validation import variables_in_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def handed_on(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns *environ* with a variable for every setting that was given. Paths are absolute.

    A secret from `NAME_FILE` stays in its file: other users can read environments more easily.
    """
    in_file = variables_in_file()
    variables = {name: value for name, value in environ.items() if name.upper().removesuffix("_FILE") not in _others()}
    for field in settings.model_fields_set:
        if file := _secret_file(field, environ, in_file):
            variables[f"{field.upper()}_FILE"] = str(Path(file).absolute())
        else:
            variables[field.upper()] = _as_text(getattr(settings, field))
    variables["DATA_DIR"] = str(settings.data_dir.absolute())
    variables["STORAGE_DIR"] = str(settings.cache_dir)
    variables["PYTHONUNBUFFERED"] = "1"  # else the lines of a part come in blocks of 8 KiB
    return variables


def _others() -> set[str]:
    """Returns the names that other programs give to settings: the parts get each setting by its own name."""
    return set(OTHER_NAMES_GIVEN)


def _secret_file(field: str, *places: Mapping[str, str]) -> str | None:
    """Returns the file that the first of *places* with the secret *field* names, None if it gives the value itself."""
    if "SecretStr" not in str(Settings.model_fields[field].annotation):
        return None
    for place in places:
        if any(place.get(name) for name in spelled(field)):
            return None
        if files := [file for name in spelled(field) if (file := place.get(f"{name}_FILE"))]:
            return files[0]
    return None


def limited_to(needed: Collection[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Returns *variables* without the secrets of the settings, and without the files that have them, except *needed*.

    *needed* has names of settings. It is for programs that are not mezcal's own.
    """
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    names = {name for secret in secrets.difference(needed) for name in spelled(secret)}
    withheld = names | {f"{name}_FILE" for name in names}
    return {name: value for name, value in variables.items() if name.upper() not in withheld}


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    return "" if value is None else str(value)
