"""What to do next about the classes of failures that a command has listed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mezcal.explanations import explanation_of, filled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.settings import Settings


def print_steps(classes: Iterable[str], settings: Settings) -> None:
    """Print for each of *classes*, once, the next step. It goes to stderr, so that stdout has the results only."""
    for slug in sorted(set(classes)):
        explained = explanation_of(slug)
        print(f"{slug}: {filled(explained.step, settings)} ({explained.page})", file=sys.stderr)
