"""Plain hits, answered before Flask is asked: they are the load, and Flask costs ten times what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wsgi import wrap_file

from api.sending import BLOCK, HIT, image_headers
from mezcal.errors import Failure
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from mezcal.store import Opened, Store

PREFIX = "/images/"
CONDITIONS = (
    "HTTP_RANGE",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_MATCH",
    "HTTP_IF_UNMODIFIED_SINCE",
)


class HitsFirst:
    """WSGI in front of the application: takes GET and HEAD of stored mezzanines that set no conditions.

    All else, and whatever goes wrong, is the application's: it gives the same answer, and knows how to fail.
    """

    def __init__(self, application: WSGIApplication, store: Store, max_age: int) -> None:
        self._application = application
        self._store = store
        self._max_age = max_age

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a hit, or pass the request on."""
        opened = self._hit(environ)
        if opened is None:
            return self._application(environ, start_response)
        start_response("200 OK", [("Cache-Status", HIT), *image_headers(opened.stored, self._max_age)])
        if environ["REQUEST_METHOD"] == "HEAD":
            opened.file.close()
            return []
        return wrap_file(environ, opened.file, BLOCK)

    def _hit(self, environ: WSGIEnvironment) -> Opened | None:
        path = environ["PATH_INFO"]
        if not path.startswith(PREFIX) or environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return None
        if environ.get("QUERY_STRING") or any(name in environ for name in CONDITIONS):
            return None
        try:
            return self._store.open(Mezzanine.parse(path[len(PREFIX) :].encode("latin-1").decode()))
        except (Failure, UnicodeError):
            return None
