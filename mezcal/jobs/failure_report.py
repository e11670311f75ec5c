"""Failed jobs as JSON, and their keys by what an operator names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mezcal.recipe import Mezzanine, from_json

if TYPE_CHECKING:
    from mezcal.jobs import Jobs, Record

ALL = "all"
MANY = 100_000
KEY = re.compile(r"[0-9a-f]{32}")


def as_json(record: Record) -> dict[str, Any]:
    """Return a job as `GET /jobs` describes it, without links, with its recipe."""
    return {**record.as_json(), "label": _label(record), "recipe": record.recipe}


def keys_of(jobs: Jobs, names: list[str]) -> list[str]:
    """Return the keys of failures. Each of *names* is a key, the path of a master, or `ALL`."""
    if names == [ALL]:
        return [record.key for record in jobs.failures(MANY)]
    return [name if KEY.fullmatch(name) else Mezzanine.parse(name).key for name in names]


def _label(record: Record) -> str:
    return from_json(record.recipe).label
