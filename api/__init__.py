"""The web side of mezcal: serves what is stored, asks for what is not, and never does the work itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response
from werkzeug.routing import PathConverter

from api import request_log
from api.context import ApiContext, place
from api.responses import problems
from api.routes import home, images, jobs, metrics, operator, thumbnails, webhooks
from mezcal.settings import load

if TYPE_CHECKING:
    from mezcal.settings import Settings


class Source(PathConverter):
    """Whatever comes behind `/images/`: what is no plain path is for the recipe to refuse, with the reason."""

    regex = r"[\s\S]*?"
    part_isolating = False


def create_app(settings: Settings | None = None) -> Flask:
    """The application; *settings* come from the environment unless given. Connects when first asked."""
    desk = ApiContext.of(settings or load())
    app = Flask("api", static_folder=None)  # style and script go into the pages
    app.debug = desk.settings.flask_debug
    app.url_map.converters["source"] = Source
    app.url_map.merge_slashes = False  # an empty segment is refused, not redirected
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    place(app, desk)
    request_log.register(app)
    app.after_request(_untyped_if_empty)
    blueprints = (images.images, jobs.jobs, operator.operator, home.ops, metrics.scraped, webhooks.webhooks)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    if desk.settings.archive_api_url:
        app.register_blueprint(thumbnails.thumbnails)
    problems.register(app)
    return app


def _untyped_if_empty(response: Response) -> Response:
    """Flask calls every answer HTML that is not said to be something else: those without a body, too."""
    if response.mimetype == "text/html" and response.is_sequence and not response.get_data():
        del response.headers["Content-Type"]
    return response
