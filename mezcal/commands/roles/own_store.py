"""Claims the store for the origin before a role starts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mezcal.store.origin_note import claim_store

if TYPE_CHECKING:
    from mezcal.settings import Settings


def report_claim(settings: Settings) -> None:
    """Claim the store for the origin; see `claim_store`. Prints what an operator should know. Raises `ForeignStore`."""
    line = claim_store(settings)
    if line is not None:
        print(f"mezcal: {line}", file=sys.stderr, flush=True)
