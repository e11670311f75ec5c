"""The home page, and redirects from repository URLs to images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, request, url_for
from werkzeug.exceptions import NotFound

from api.context import context
from api.dashboard.home_page import HomePage, shown_base_url
from api.responses import html
from api.security.auth import require_read_access
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

home = Blueprint("home", __name__)


@home.get("/")
def page() -> AnyResponse:
    """Return the home page, or with `?url=` a redirect to the image of that repository URL."""
    require_read_access()
    if "url" in request.args:
        return redirect(url_for("images.image", source=_path_of(request.args["url"])))
    return html.response(HomePage.of(context()).html())


def _path_of(url: str) -> str:
    path = context().origin.path_of(url)
    if path is None:
        base_url = shown_base_url(context())
        begin = f"its URLs begin with {base_url}" if base_url else "it is a folder of the server"
        raise NotFound(f"this URL is not in the repository: {begin}. A path in it is requested as /images/<path>")
    return Mezzanine.parse(path).path
