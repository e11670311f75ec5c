"""The description of the HTTP interface, and the meaning of each type of problem."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound

from api.context import context
from api.openapi import document
from api.responses import html
from api.responses.preferences import prefers_page
from mezcal.errors import kinds
from mezcal.explanations import explanation_of, filled

reference = Blueprint("reference", __name__)


@reference.get("/openapi.json")
def description() -> Response:
    """Return the description of all routes as OpenAPI 3.1."""
    return jsonify(document(archive=bool(context().settings.archive_api_url)))


@reference.get("/problems/<slug>")
def problem(slug: str) -> Response:
    """Return the meaning of a problem's `type` and what to do next, as JSON or, for browsers, as a page."""
    kind = {kind.slug: kind for kind in kinds()}.get(slug)
    if kind is None:
        raise NotFound("there is no problem of this type")
    explained = explanation_of(slug)
    viewer, cause, step = map(filled, (explained.viewer, explained.operator, explained.step))
    if prefers_page(request):
        values = {"kind": kind, "viewer": viewer, "page": explained.page, "cause": cause, "step": step}
        response = html.response(html.render("problem.html", **values, root=request.script_root))
    else:
        response = jsonify(
            type=slug, title=kind.title, status=kind.status, meaning=cause, advice=viewer, next_step=step
        )
    response.vary.add("Accept")
    return response
