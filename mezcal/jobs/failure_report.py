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
    """A job as `GET /jobs` tells it, less its links, with its recipe."""
    return {**facts(record), "label": _label(record), "recipe": record.recipe}


def facts(record: Record) -> dict[str, Any]:
    """What is told of a job in whichever JSON; times are seconds since 1970."""
    return {
        "id": record.key,
        "state": record.state,
        "lane": record.lane,
        "attempts": record.attempts,
        "asked": record.asked,
        "started": record.started,
        "ended": record.ended,
        "failure": record.failure.as_record() if record.failure else None,
        "history": [past | {"at": past["at"] / 1000} for past in record.history],
    }


def keys_of(jobs: Jobs, wanted: list[str]) -> list[str]:
    """The keys of the failures *wanted*: by themselves, by the path of a master, or all there are."""
    if wanted == [ALL]:
        return [record.key for record in jobs.failures(MANY)]
    return [one if KEY.fullmatch(one) else Mezzanine.parse(one).key for one in wanted]


def _label(record: Record) -> str:
    return from_json(record.recipe).label
