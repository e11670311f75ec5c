"""The description of the HTTP interface, and the meaning of each type of problem."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import NotFound

from api.context import context
from api.openapi import document
from mezcal.errors import kinds

reference = Blueprint("reference", __name__)


@reference.get("/openapi.json")
def description() -> Response:
    """Return the description of all routes as OpenAPI 3.1."""
    return jsonify(document(archive=bool(context().settings.archive_api_url)))


@reference.get("/problems/<slug>")
def problem(slug: str) -> Response:
    """Return the meaning of a problem's `type`."""
    kind = {kind.slug: kind for kind in kinds()}.get(slug)
    if kind is None:
        raise NotFound("there is no problem of this type")
    return jsonify(type=slug, title=kind.title, status=kind.status, meaning=(kind.__doc__ or "").strip())
