"""The chore that finds out when the repository is back after an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.errors import ORIGIN_AWAY, Failure, OriginFailed, OriginTimeout
from mezcal.jobs.outages import raises_broker_down
from mezcal.recipe import Mezzanine, from_json
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from mezcal.origin import Origin
    from worker.app import WorkerContext

PROBE_SECONDS = 10.0
RECENT_MAX = 100  # among which mezzanines are looked for
MASTERS_MAX = 3  # that a probe asks for: any one may be closed to us by now


@raises_broker_down()
def _due(ctx: WorkerContext) -> bool:
    return ctx.jobs.origin_guard.probe_due(ctx.jobs.origins[Mezzanine.kind])


@chore(every=PROBE_SECONDS, due=_due)
def probe() -> None:
    """Ask the repository for the headers of masters that were read lately, if it failed jobs that are delayed now."""
    ctx = context()
    recent = (from_json(made) for made in ctx.jobs.recent.newest(RECENT_MAX) if made["kind"] == Mezzanine.kind)
    paths = spread([recipe.path for recipe in recent if isinstance(recipe, Mezzanine)])
    host = ctx.jobs.origins[Mezzanine.kind]
    with raises_broker_down():  # of the base, any answer will do
        ctx.jobs.origin_guard.probe(host, lambda: ask(ctx.origin, paths or [""]), known=bool(paths))


def spread(paths: list[str]) -> list[str]:
    """Return up to MASTERS_MAX of *paths*, the first one among them, far apart: neighbours close together."""
    once = list(dict.fromkeys(paths))
    return once[:: -(-len(once) // MASTERS_MAX) or 1]


def ask(origin: Origin, paths: list[str]) -> None:
    """Ask *origin* for the masters at *paths*, until it has one of them. Raises the last one's failure.

    An origin that fails or does not answer is asked once.
    """
    refusal: Failure | None = None
    for path in paths:
        try:
            origin.revalidate(path, None, None)
        except (OriginFailed, OriginTimeout):
            raise
        except ORIGIN_AWAY as failure:
            refusal = failure
        else:
            return
    if refusal is not None:
        raise refusal
