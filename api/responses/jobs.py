"""Jobs and batches as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, jsonify, request, url_for

from api.responses.advice import shown_detail
from api.security.auth import is_operator
from mezcal.errors import Failure
from mezcal.recipe import MEZZANINE, Mezzanine, known_recipe

if TYPE_CHECKING:
    from api.dashboard.estimate import Estimate
    from mezcal.jobs import Batch, Record
    from mezcal.recipe import Recipe


def image_path(recipe: Recipe) -> str | None:
    """Return the URL path of a master's derivative, None for a thumbnail: its URL is signed for one client."""
    if not isinstance(recipe, Mezzanine):
        return None
    if recipe.profile != MEZZANINE:
        file = f"{recipe.path}.{recipe.profile.extension}"
        return url_for("images.derivative", name=recipe.profile.name, file=file, page=recipe.page)
    return url_for("images.image", source=recipe.path, page=recipe.page)


def job_json(record: Record, estimate: Estimate | None = None) -> dict[str, Any]:
    """Return a job as JSON. Times are in seconds since 1970.

    The worker of an attempt (`host:pid`) names machines of the internal network, so only operators see it.
    """
    image, fields = _image_of(record), record.as_json()
    if record.failure is not None:
        fields["failure"]["detail"] = shown_detail(record.failure)
    if not is_operator():
        fields["history"] = [_without_internals(attempt) for attempt in fields["history"]]
    return {
        **fields,
        "image": image,
        "links": {"self": url_for("jobs.job", key=record.key), "image": image},
        **(estimate.as_json() if estimate else {}),
    }


def _image_of(record: Record) -> str | None:
    """Return the URL path of the derivative, None too if another version has queued a recipe that is not valid here."""
    recipe = known_recipe(record.recipe)
    return image_path(recipe) if recipe else None


def _without_internals(attempt: dict[str, Any]) -> dict[str, Any]:
    """Return an *attempt* without its worker, and without hosts and folders in its text."""
    shown = {name: value for name, value in attempt.items() if name != "worker"}
    if "class" in shown:
        shown["what"] = shown_detail(Failure.from_record({"class": shown["class"], "detail": shown["what"]}))
    return shown


def batch_json(batch: Batch) -> dict[str, Any]:
    """Return a batch as JSON. Times are in seconds since 1970, the rate is items per second."""
    return {
        "id": batch.name,
        "state": "done" if batch.done else "running",
        "items": batch.items,
        "counts": batch.counts,
        "asked": batch.asked,
        "last": batch.last,
        "rate": None if batch.rate is None else round(batch.rate, 3),
        "estimate": None if batch.estimate is None else round(batch.estimate, 1),
        "failures": [job_json(record) for record in batch.failures],
        "notes": [_shown_note(note) for note in batch.notes],
        "links": {"self": url_for("jobs.job", key=batch.name)},
    }


def _shown_note(note: dict[str, str]) -> dict[str, str]:
    """Return *note*, of a failure without hosts and folders unless who asks is an operator."""
    if note["what"] != "failed":
        return note
    slug, _, detail = note["reason"].partition(": ")
    return note | {"reason": f"{slug}: {shown_detail(Failure.from_record({'class': slug, 'detail': detail}))}"}


def polled(fields: dict[str, Any]) -> Response:
    """Return JSON with an ETag, so that polling it with `If-None-Match` transfers no body."""
    response = jsonify(fields)
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Authorization")
    response.add_etag()
    response.make_conditional(request)
    return response


def accepted(key: str) -> Response:
    """Return 202 with the job's URL path."""
    response = Response(status=202)
    response.headers["Location"] = url_for("jobs.job", key=key)
    response.headers["Cache-Control"] = "no-store"
    return response
