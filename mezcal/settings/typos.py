"""Finds variables that are not settings but have nearly the name of one. Only names are printed, never values."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mezcal.settings.other_names import known_names
from mezcal.settings.validation import Settings, variables_in_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    letters = {name: frozenset(name) for name in known}
    similar = {name: nearest(name.upper(), letters) for name in unknown}
    return [f"{name} is not a setting of mezcal; did you mean {names[0]}?" for name, names in similar.items() if names]


def nearest(name: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    """Returns the one of *known* that is nearly *name*, in a list; an empty list if there is none.

    Each letter that only one of two names has is a difference. Names with too many of them are left out first: difflib
    takes a hundred times as long for a pair, and an environment has thousands of pairs.
    """
    own = set(name)
    possible = [
        other for other, letters in known.items() if len(own ^ letters) <= (1 - SIMILAR) * (len(name) + len(other))
    ]
    return get_close_matches(name, possible, n=1, cutoff=SIMILAR)


def given_names() -> set[str]:
    """Returns the names of all variables in the environment and in `.env`."""
    return {*os.environ, *names_in_file()}


def names_in_file() -> set[str]:
    """Returns the names of the variables in `.env`, in capitals; none if there is no such file."""
    return set(variables_in_file())
