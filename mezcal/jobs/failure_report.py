"""Failed jobs as JSON, and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.recipe import Mezzanine, known_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.jobs import Jobs, Record

MANY = 100_000


def as_json(record: Record) -> dict[str, Any]:
    """Return a job as `GET /jobs` describes it, without links, with its recipe."""
    return {**record.as_json(), "label": record.label, "recipe": record.recipe}


def keys_below(jobs: Jobs, is_named: Callable[[str], bool]) -> list[str]:
    """Return the keys of the failures of masters whose paths are named."""
    failed = [(record.key, known_recipe(record.recipe)) for record in jobs.failures(MANY)]
    return [key for key, recipe in failed if isinstance(recipe, Mezzanine) and is_named(recipe.path)]


def all_keys(jobs: Jobs) -> list[str]:
    """Return the keys of all failures."""
    return [record.key for record in jobs.failures(MANY)]
