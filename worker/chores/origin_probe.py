"""The chore that finds out when a repository is back after an outage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from mezcal.errors import ORIGIN_AWAY, Failure, OriginFailed, OriginTimeout
from mezcal.jobs.outages import raises_broker_down
from mezcal.recipe import Mezzanine, from_json
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from mezcal.origin.members import SingleOrigin
    from mezcal.settings.origins import NamedOrigin
    from worker.app import WorkerContext

PROBE_SECONDS = 10.0
RECENT_MAX = 100  # among which mezzanines are looked for
MASTERS_MAX = 3  # that a probe asks for: any one may be closed to us by now


@raises_broker_down()
def _due(ctx: WorkerContext) -> bool:
    return bool(_failing(ctx))


def _failing(ctx: WorkerContext) -> list[NamedOrigin]:
    """Return the repositories that failed jobs lately, and get requests now. Raises `redis.RedisError`."""
    named = [origin for origin in ctx.settings.origins if origin.limits_name]
    return [origin for origin in named if ctx.jobs.origin_guard.probe_due(origin.limits_name)]


@chore(every=PROBE_SECONDS, due=_due)
def probe() -> None:
    """Ask each repository for the headers of masters that were read lately, if it failed jobs that are delayed now.

    One that does not answer holds up no other, and no more than one process: it is not asked again meanwhile.
    """
    ctx = context()
    recent = [from_json(made) for made in ctx.jobs.recent.newest(RECENT_MAX) if made["kind"] == Mezzanine.kind]
    made = [recipe.path for recipe in recent if isinstance(recipe, Mezzanine)]
    with raises_broker_down():
        failing = [
            origin for origin in _failing(ctx) if ctx.jobs.chores.claim({_turn(origin): _longest(origin)}, ctx.name)
        ]
    paths = [spread([path for path in made if _has(ctx, origin, path)]) for origin in failing]
    with ThreadPoolExecutor(len(failing) or 1) as pool:
        list(pool.map(partial(_probe, ctx), failing, paths))


def _turn(origin: NamedOrigin) -> str:
    """Return the name under which the probe of *origin* is claimed."""
    return f"{probe.__name__} {origin.limits_name}"


def _longest(origin: NamedOrigin) -> float:
    """Return the seconds after which a probe of *origin* has ended: a HEAD and a GET for each master."""
    own = origin.settings
    return 2 * MASTERS_MAX * (own.origin_connect_timeout + own.origin_read_timeout)


def _has(ctx: WorkerContext, origin: NamedOrigin, path: str) -> bool:
    found = ctx.settings.origin_of(path)
    return found is not None and found.prefix == origin.prefix


def _probe(ctx: WorkerContext, origin: NamedOrigin, paths: list[str]) -> None:
    member = next(member for member in ctx.origin.members if member.prefix == origin.prefix)
    asked = [path.removeprefix(origin.prefix) for path in paths] or [""]
    request = partial(ask, member.origin.impatient(), asked)
    try:
        with raises_broker_down():  # of the base, any answer will do
            ctx.jobs.origin_guard.probe(origin.limits_name, request, known=bool(paths))
    finally:
        ctx.jobs.chores.release(_turn(origin))


def spread(paths: list[str]) -> list[str]:
    """Return up to MASTERS_MAX of *paths*, the first one among them, far apart: neighbours close together."""
    once = list(dict.fromkeys(paths))
    return once[:: -(-len(once) // MASTERS_MAX) or 1]


def ask(origin: SingleOrigin, paths: list[str]) -> None:
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
