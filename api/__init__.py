"""The HTTP interface of mezcal: serves stored derivatives and asks the workers for missing ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response
from werkzeug.routing import PathConverter

from api import request_log
from api.context import ApiContext, set_context
from api.responses import problems
from api.routes import cutouts, denials, health, home, images, jobs, metrics, operator, reference, thumbnails, webhooks
from api.security import body_limits, hosts, sessions
from api.server import malformed
from mezcal.settings import load

if TYPE_CHECKING:
    from mezcal.settings import Settings


BLUEPRINTS = (
    denials.denials,
    images.images,
    jobs.jobs,
    webhooks.webhooks,
    home.home,
    operator.operator,
    health.health,
    metrics.metrics,
    reference.reference,
)


class SourceConverter(PathConverter):
    """Accepts everything after `/images/`: the recipe refuses a wrong path and says why."""

    regex = r"[\s\S]*?"
    part_isolating = False


def create_app(settings: Settings | None = None) -> Flask:
    """Build the Flask application. *settings* come from the environment unless given. It connects to nothing yet."""
    context = ApiContext.of(settings or load())
    app = Flask("api", static_folder=None)  # pages contain their styles and scripts
    app.debug = context.settings.flask_debug
    app.url_map.converters["source"] = SourceConverter
    app.url_map.merge_slashes = False  # an empty segment is refused, not redirected
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    set_context(app, context)
    sessions.register(app, context.settings)
    request_log.register(app)
    malformed.register(app)
    body_limits.register(app)
    hosts.register(app)
    app.after_request(_drop_type_of_empty_body)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    if context.settings.archive_api_url:
        app.register_blueprint(thumbnails.thumbnails)
        app.register_blueprint(cutouts.cutouts)
    problems.register(app)
    return app


def _drop_type_of_empty_body(response: Response) -> Response:
    """Remove `Content-Type: text/html`, which Flask adds to every response, from responses without a body."""
    if response.mimetype == "text/html" and response.is_sequence and not response.get_data():
        del response.headers["Content-Type"]
    return response
