"""Variables that mezcal does not know and that are nearly one of its own: most often a slip of the pen.

The names are told, never what they hold.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic_settings import DotEnvSettingsSource

from mezcal.settings.validation import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

NEAR = 0.87  # of 1: one letter in REDIS_URL is wrong, missing or too many, two in WAIT_SECONDS
OURS = ("WORKER_HEARTBEAT", "ROLE_SIGN", "MEZCAL_METRICS_DIR")  # read without being settings
OTHERS = frozenset(
    {
        "AWS_ACCESS_KEY",  # what tools before the SDKs called AWS_ACCESS_KEY_ID
        "COLORS",  # a shell's
        "LOGLEVEL",  # other programs'
        "TMPDIR",  # the system's own folder for scratch files
    }
)


def strangers(names: Iterable[str]) -> list[str]:
    """A sentence for each of *names* that is none of mezcal's and nearly one, in the alphabet's order."""
    known = set(known_names())
    unknown = sorted({name for name in names if name.upper() not in known | OTHERS})
    meant = {name: get_close_matches(name.upper(), known, n=1, cutoff=NEAR) for name in unknown}
    return [f"{name} is no setting of mezcal; did you mean {near[0]}?" for name, near in meant.items() if near]


def given_names() -> set[str]:
    """The variables that this process sees: the environment's, and those of the `.env` that it would read."""
    return {*os.environ, *names_in_file()}


def names_in_file() -> set[str]:
    """The variables of the `.env` in the working folder, in capitals; there may be none."""
    return {name.upper() for name in DotEnvSettingsSource(Settings).env_vars}


def known_names() -> Iterator[str]:
    """Every name that mezcal reads: settings, what the predecessors called them, files of secrets."""
    yield from OURS
    for name, field in Settings.model_fields.items():
        yield from _names_of(name.upper(), field)


def _names_of(name: str, field: FieldInfo) -> Iterator[str]:
    yield from (name, *getattr(field.validation_alias, "choices", ()))
    if "SecretStr" in str(field.annotation):
        yield f"{name}_FILE"
