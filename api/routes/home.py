"""The home page, and redirects from what people type there, paths and repository URLs, to images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, request, url_for
from werkzeug.exceptions import NotFound

from api.context import context
from api.dashboard.home_page import HomePage, shown_base_url
from api.responses import html
from api.security.auth import is_operator, require_read_access
from mezcal.errors import BadRecipe
from mezcal.ingest.names import EXAMPLE, MasterNames
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

home = Blueprint("home", __name__)
AS_PATH = f"Give the path in the repository, as {EXAMPLE}, without a slash at its beginning"


@home.get("/")
def page() -> AnyResponse:
    """Return the home page, or with `?url=` a redirect to the image of that path or URL in the repository."""
    require_read_access()
    if "url" in request.args:
        return redirect(url_for("images.image", source=_path_of(request.args["url"])))
    return html.response(HomePage.of(context()).html())


def _path_of(text: str) -> str:
    """Return the path in the repository that *text* names. Raises `NotFound` if it names something elsewhere."""
    name = text.strip()
    if looks_like_path(name):
        return _plain(name)
    path = context().origin.path_of(name)
    if path is None and is_operator():
        return _path_of_absolute(name)
    if path is None:
        base_url = shown_base_url(context())
        begin = f"its URLs begin with {base_url}" if base_url else "it is a folder of the server"
        raise NotFound(f"this is not in the repository: {begin}. {AS_PATH}")
    return _plain(path)


def looks_like_path(name: str) -> bool:
    """Return True if *name* is a relative path whose file has an ending. Any other text is no URL of the repository."""
    return "://" not in name and not name.startswith(("/", "file:")) and "." in name.rpartition("/")[2].strip(".")


def _plain(path: str) -> str:
    """Return *path*. Raises `NotFound` if it names no master: umd-lib/mezcal answers any other URL with 404."""
    try:
        return Mezzanine.parse(path).path
    except BadRecipe as bad:
        raise NotFound(f"this is not in the repository: {bad.detail}. {AS_PATH}") from bad


def _path_of_absolute(name: str) -> str:
    """Do the same for an operator, who may learn which files and links this machine has."""
    try:
        return MasterNames(context().origin).parse_master(name).path
    except BadRecipe as bad:
        raise NotFound(f"this is not in the repository: {bad.detail}") from bad
