"""Asks for revalidations, each at most once in a while however many processes see the same old image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.jobs.state.table import JobTable
    from mezcal.jobs.transport.celery_pipe import CeleryPipe
    from mezcal.recipe import Recipe

ONCE_IN = 300  # seconds for which a request for the same revalidation is the same request


def revalidate(table: JobTable, pipe: CeleryPipe, recipe: Recipe) -> bool:
    """Queue the revalidation of *recipe*'s derivative, unless that was done lately; whether it was queued now.

    Raises `redis.RedisError` or `BrokerDown`.
    """
    if not table.redis.set(table.keys.revalidating(recipe.key), "1", nx=True, ex=ONCE_IN):
        return False
    pipe.revalidate(recipe.as_json(), recipe.label)
    return True
