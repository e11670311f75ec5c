"""The settings that `mezcal up` has read, handed on: every part sees the same ones, wherever it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.settings import Settings


def handed_on(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """*environ* with every setting that was given, by whatever way, as its variable; paths are absolute.

    A secret that came by `NAME_FILE` stays in its file: environments are easier to look into.
    """
    handed = dict(environ)
    for field in settings.model_fields_set:
        name, by_file = field.upper(), f"{field.upper()}_FILE"
        if by_file in environ and name not in environ:
            handed[by_file] = str(Path(environ[by_file]).absolute())
        else:
            handed[name] = _as_text(getattr(settings, field))
    handed["DATA_DIR"] = str(settings.data_dir.absolute())
    handed["STORAGE_DIR"] = str(settings.cache_dir)
    handed["PYTHONUNBUFFERED"] = "1"  # else a part's lines come in lumps of 8 KiB
    return handed


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return ",".join(_as_text(one) for one in value)
    return "" if value is None else str(value)
