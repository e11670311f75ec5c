"""The page of one job: its state, why it failed, what to do next, and its attempts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from flask import request

from api.responses import html
from api.responses.advice import Advice
from api.responses.jobs import job_json
from mezcal.jobs import JobState
from mezcal.recipe import Mezzanine, known_recipe

if TYPE_CHECKING:
    from api.dashboard.estimate import Estimate
    from mezcal.jobs import Record

UNFINISHED = {JobState.QUEUED, JobState.DELAYED, JobState.RUNNING}
SHOWN = {"jpg", "png", "webp"}  # extensions
STATES = {
    JobState.QUEUED: "waiting in the queue",
    JobState.DELAYED: "waiting for its next attempt",
    JobState.RUNNING: "running",
    JobState.DONE: "done",
    JobState.FAILED: "failed",
    JobState.QUARANTINED: "in quarantine",
}


@dataclass(frozen=True, slots=True)
class JobPage:
    """All that the page shows. *job* is the JSON of `GET /jobs/<id>`; *advice* is None unless the job failed.

    *csrf_token* is that of an operator's session, None where the page has no form.
    """

    label: str
    state: str
    job: dict[str, Any]
    title: str | None
    advice: Advice | None
    unfinished: bool
    is_shown: bool  # by browsers; other files they save
    csrf_token: str | None

    @classmethod
    def of(cls, record: Record, estimate: Estimate | None = None, csrf_token: str | None = None) -> Self:
        """Collect what the page shows of *record*."""
        recipe, failure = known_recipe(record.recipe), record.failure
        path = recipe.path if isinstance(recipe, Mezzanine) else None
        return cls(
            label=record.label,
            state=STATES[record.state],
            job=job_json(record, estimate),
            title=failure.title if failure else None,
            advice=Advice.of(failure, record.key, path) if failure else None,
            unfinished=record.state in UNFINISHED,
            is_shown=recipe is not None and recipe.file_name.rpartition(".")[2] in SHOWN,
            csrf_token=csrf_token,
        )

    def html(self) -> str:
        """Return the page."""
        return html.render("job.html", shown=self, root=request.script_root, now=time.time())
