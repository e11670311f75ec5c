"""The chore that finds out when the repository is back after an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.jobs.outages import raises_broker_down
from mezcal.recipe import Mezzanine, from_json
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from worker.app import WorkerContext

PROBE_SECONDS = 10.0
RECENT_MAX = 100  # among which a mezzanine is looked for


@raises_broker_down()
def _due(ctx: WorkerContext) -> bool:
    return ctx.jobs.origin_guard.probe_due(ctx.jobs.origins[Mezzanine.kind])


@chore(every=PROBE_SECONDS, due=_due)
def probe() -> None:
    """Ask the repository for the headers of a master that was read lately, if it failed jobs that are delayed now."""
    ctx = context()
    recent = (from_json(made) for made in ctx.jobs.recent.newest(RECENT_MAX) if made["kind"] == Mezzanine.kind)
    known = next((recipe for recipe in recent if isinstance(recipe, Mezzanine)), None)
    path = known.path if known else ""  # of the base, any answer will do
    host = ctx.jobs.origins[Mezzanine.kind]
    with raises_broker_down():
        ctx.jobs.origin_guard.probe(host, lambda: ctx.origin.revalidate(path, None, None))
