"""What workers do: each task takes small JSON and may run twice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mezcal.derive import derive
from mezcal.errors import BrokerDown, Failure, Superseded, Unforeseen
from mezcal.jobs import MAKE, SPREAD, Lane
from mezcal.jobs.broker import CHORE
from mezcal.jobs.gate import GuardedOrigin, PutOff
from mezcal.jobs.lease import Lease, persist
from mezcal.jobs.progress import shown
from mezcal.recipe import from_json
from worker.app import app, here
from worker.chores import CHORES
from worker.recording import Turn

if TYPE_CHECKING:
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)


@app.task(name=MAKE, bind=True)
def make(self: Any, wanted: dict[str, Any]) -> str:
    """Make one derivative, if it is still wanted and nobody else makes it; how it ended, for Flower."""
    recipe = from_json(wanted)
    bench = here()
    claim = persist(lambda: bench.table.begin(recipe.key, bench.name, self.request.id, recipe.kind))
    if claim is None:
        return "nothing to do"
    with Lease(bench.table, claim).kept() as lease:
        return _report(recipe, lease)


def _report(recipe: Recipe, lease: Lease) -> str:
    """Work on the claimed job and report its end."""
    turn = Turn(recipe, lease.claim)
    try:
        _work(turn, lease)
    except PutOff as put_off:
        lease.defer(put_off.seconds)
        turn.end("put-off")
        return str(put_off)
    except Superseded as failure:
        turn.end("superseded")
        return failure.slug
    except Failure as failure:
        lease.fail(failure)
        turn.end("failed", failure)
        return f"{failure.slug}: {failure.detail}"
    lease.finish()
    turn.end("made")
    return "made"


def _work(turn: Turn, lease: Lease) -> None:
    bench, recipe = here(), turn.recipe
    origin = GuardedOrigin(bench.origin_of(recipe), bench.gate, lease, recipe.kind)
    claim = lease.claim
    try:
        with shown(bench.table, claim.key, turn.progress) as progress:
            derive(
                *(recipe, origin, bench.store, bench.choices),
                guard=lease.check,
                remake=claim.remake,
                progress=progress,
            )
    except (Failure, PutOff):
        raise
    except Exception as error:
        log.exception("%s failed in a way that nobody thought of", recipe.key)
        raise Unforeseen(f"an unforeseen {type(error).__name__}: the log has the details") from error


@app.task(name=SPREAD)
def spread(name: str) -> int:
    """Queue the jobs of one chunk in the bulk lane; how many were not queued yet."""
    bench = here()
    chunk = persist(lambda: bench.chunks.take(name))
    if chunk is None:
        return 0
    recipes = [from_json(wanted) for wanted in chunk.recipes]
    verdicts = persist(lambda: bench.table.ensure_all(recipes, Lane.BULK, changed=chunk.changed))
    wanted = [recipe.as_json() for recipe, verdict in zip(recipes, verdicts, strict=True) if verdict == "publish"]
    try:
        bench.pipe.send_all(wanted, Lane.BULK)
    except BrokerDown as error:  # the reaper sends what was not
        log.warning("%d messages are sent later: %s", len(wanted), error)
    if "full" not in verdicts:
        persist(lambda: bench.chunks.done(name))
    return len(wanted)


@app.task(name=CHORE)
def chore(name: str) -> str:
    """Do the periodic work *name*; one that fails has its next turn."""
    if name not in CHORES:  # sent by a worker of another version
        return "unknown"
    CHORES[name].work()
    return "done"
