"""The task that queues the items of a chunk."""

from __future__ import annotations

from mezcal.ingest.chunk_run import ChunkRun
from mezcal.jobs import persist
from mezcal.jobs.transport.celery_pipe import CHORE_SECONDS, SPREAD
from worker.app import app, context


@app.task(name=SPREAD, time_limit=CHORE_SECONDS)
def spread(name: str) -> int:
    """Process the events of the chunk *name*. Returns the number of jobs that were queued.

    The chunk is kept if some of its items are left to the next run.
    """
    ctx = context()
    chunks = ctx.jobs.chunks
    chunk = persist(lambda: chunks.take(name))
    if chunk is None:
        return 0
    run = ChunkRun(chunk, ctx.jobs, ctx.store, ctx.masters, ctx.settings)
    queued = run.run()
    if not run.incomplete:
        persist(lambda: chunks.done(name))
    elif run.pause is not None:
        persist(lambda pause=run.pause: chunks.give_back(name, pause))  # type: ignore[misc]
    return queued
