"""What to do next about the classes of failures that a command has listed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mezcal.explanations import explanation_of, filled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.errors import Failure
    from mezcal.settings import Settings

SHORT = 3600  # seconds; who reads the output later than that looks for the failures in vain


def print_steps(classes: Iterable[str], settings: Settings) -> None:
    """Print for each of *classes*, once, the next step. It goes to stderr, so that stdout has the results only."""
    for slug in sorted(set(classes)):
        explained = explanation_of(slug)
        print(f"{slug}: {filled(explained.step, settings)} ({explained.page})", file=sys.stderr)


def print_if_short_lived(failure: Failure, seconds: int) -> None:
    """Print that failures of the class of *failure* are listed for so many *seconds*, if these are few."""
    if seconds < SHORT:
        print(f"{failure.slug}: `mezcal failures` lists it for {seconds} s only", file=sys.stderr)
