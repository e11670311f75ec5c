"""Small previews of derivatives for the operator's page. They are made when the page asks for them."""

from __future__ import annotations

from typing import Any

from mezcal.convert.preview import preview
from mezcal.jobs.outages import persist
from mezcal.jobs.transport.celery_pipe import CHORE_SECONDS, PREVIEW
from mezcal.recipe import from_json
from worker.app import app, context


@app.task(name=PREVIEW, time_limit=CHORE_SECONDS)
def make_preview(wanted: dict[str, Any]) -> str:
    """Save a preview of one derivative, or record that it cannot have one. Returns the result for Flower."""
    ctx, recipe = context(), from_json(wanted)
    opened = ctx.store.open(recipe)
    if opened is None:
        return "nothing is stored"
    try:
        with opened.file as file:
            small = preview(file)
    except OSError:  # the file is not an image
        small = None
    persist(lambda: ctx.jobs.recent.save_preview(recipe, small))
    return "none: it would take too much memory" if small is None else f"{len(small)} bytes"
