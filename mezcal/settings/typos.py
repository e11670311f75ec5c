"""Finds variables that are not settings but have nearly the name of one. Only names are printed, never values."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mezcal.settings.other_names import known_names
from mezcal.settings.validation import Settings, variables_in_file

if TYPE_CHECKING:
    from collections.abc import Iterable

SIMILAR = 0.87  # of 1: one wrong, missing or added letter in REDIS_URL, two in WAIT_SECONDS
FOREIGN_NAMES = frozenset(
    {
        "AWS_ACCESS_KEY",  # older tools' name for AWS_ACCESS_KEY_ID
        "COLORS",  # of a shell
        "LOGLEVEL",  # of other programs
        "TMPDIR",  # the system's folder for temporary files
    }
)


def find_typos(names: Iterable[str]) -> list[str]:
    """Returns a sentence for each of *names* that is nearly the name of a setting, in alphabetical order."""
    known = set(known_names(Settings.model_fields))
    unknown = sorted({name for name in names if name.upper() not in known | FOREIGN_NAMES})
    similar = {name: get_close_matches(name.upper(), known, n=1, cutoff=SIMILAR) for name in unknown}
    return [f"{name} is not a setting of mezcal; did you mean {names[0]}?" for name, names in similar.items() if names]


def given_names() -> set[str]:
    """Returns the names of all variables in the environment and in `.env`."""
    return {*os.environ, *names_in_file()}


def names_in_file() -> set[str]:
    """Returns the names of the variables in `.env`, in capitals; none if there is no such file."""
    return set(variables_in_file())
