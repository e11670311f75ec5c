"""The chore that registers thumbnails with the science archive."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from mezcal.ingest.registration import ArchiveRegistration
from worker.app import context
from worker.chores import chore

if TYPE_CHECKING:
    from worker.app import WorkerContext

REGISTER_SECONDS = 4.0  # between two runs
RUN_SECONDS = 20.0  # of each; what is left is done by the next


@cache
def _registration() -> ArchiveRegistration:
    """Return that of this process: it keeps its connections."""
    ctx = context()
    return ArchiveRegistration(ctx.settings, ctx.jobs.registrations, ctx.store)


def _due(ctx: WorkerContext) -> bool:
    return ctx.settings.archive_bucket is not None and ctx.jobs.registrations.any_due()


@chore(every=REGISTER_SECONDS, due=_due)
def register() -> None:
    """Register the thumbnails that wait, those of one frame after the other."""
    ends = time.monotonic() + RUN_SECONDS
    while time.monotonic() < ends and _registration().run():
        pass
