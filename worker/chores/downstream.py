"""The chore that notifies hooks downstream of changed derivatives and ended jobs."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from mezcal.downstream.delivery import HookDelivery, open_hook
from mezcal.errors import Failure
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from worker.app import WorkerContext

log = logging.getLogger(__name__)

NOTIFY_SECONDS = 1.0  # between two runs
RUN_SECONDS = 20.0  # of each; what is left is done by the next


@cache
def _deliveries() -> list[HookDelivery]:
    """Return the deliveries of this process to each hook: they keep their connections."""
    ctx = context()
    settings, store, changes = ctx.settings, ctx.store, ctx.jobs.downstream
    return [HookDelivery(hook, open_hook(hook, settings, store), changes) for hook in settings.hooks]


def _due(ctx: WorkerContext) -> bool:
    return ctx.jobs.downstream.any_due()


@chore(every=NOTIFY_SECONDS, due=_due)
def notify_downstream() -> None:
    """Tell the hooks of what waits, all hooks at the same time: a slow one delays no other."""
    context().jobs.downstream.begun()
    deliveries = _deliveries()
    if deliveries:
        with ThreadPoolExecutor(len(deliveries)) as threads:
            list(threads.map(_notify, deliveries))


def _notify(delivery: HookDelivery) -> None:
    ends = time.monotonic() + RUN_SECONDS
    try:
        while time.monotonic() < ends and delivery.run():
            pass
    except Failure as failure:
        log.warning("changes are sent later: %s", failure.detail)
