"""The key of a recipe: its name in the store, in Redis, in logs and in the URLs of jobs."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def key_of(recipe: dict[str, Any]) -> str:
    """Returns the key of a recipe's JSON: 32 hex digits, the same in every process and in every release."""
    canonical = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
