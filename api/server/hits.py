"""Plain hits, looked up without a framework: they are the load, and Flask costs ten times what they do."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from api.responses.images import HIT, STALE
from mezcal.errors import Failure
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from pathlib import Path

    from api.freshness import Freshness
    from api.responses.images import ImageHeaders
    from mezcal.recipe import Recipe
    from mezcal.store import LocalStore, Opened, Stored

HEAD_MAX = 16_384  # bytes; more than this, and all that is unusual, is gunicorn's to judge
PLAIN = re.compile(
    rb"(?P<method>GET|HEAD) /(?:images/(?P<path>[!\"$->@-~]+)|mezzanine/(?P<named>[!\"$->@-~]+)\.jpg) HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+\r\n"
)
UNUSUAL = re.compile(
    rb"\r\n(?:(?:content-length|transfer-encoding|expect|upgrade):|connection:(?![ \t]*keep-alive\r\n))",
    re.IGNORECASE,
)
CONDITIONS = re.compile(rb"\r\n(?:range|if-[a-z-]+):", re.IGNORECASE)
PATHS_KEPT = 1024  # names that are asked for again and again need not be decoded and checked each time


class Hits:
    """Finds the stored mezzanine that a request asks for, if that is all it asks for.

    One `stat`, no lock, no Redis. Whatever is not a plain GET or HEAD of a stored mezzanine is another's.
    """

    def __init__(self, store: LocalStore, manner: ImageHeaders, freshness: Freshness) -> None:
        self._store = store
        self._manner = manner
        self._freshness = freshness
        self._place = lru_cache(PATHS_KEPT)(self._placed)
        self._fields = lru_cache(PATHS_KEPT)(self._written)

    def find(self, request: bytes) -> tuple[bytes, Opened | None] | None:
        """The head of the answer to *request* and, for a GET, the file to send behind it; None if it is no hit."""
        asked = PLAIN.fullmatch(request)
        if asked is None or not self._plain(request):
            return None
        place = self._place(asked["path"] or asked["named"])
        if place is None:
            return None
        recipe, path = place
        try:
            opened = self._store.open_at(path)
        except Failure:
            return None
        if opened is None:
            return None
        fields = self._fields(opened.stored, self._freshness.is_stale(opened.stored, recipe))
        if asked["method"] == b"GET" and self._manner.header is None:
            return fields, opened
        opened.file.close()
        return fields, None

    def _plain(self, request: bytes) -> bool:
        """Whether *request* sets no conditions, unless they are another's to judge, and is like most others."""
        if UNUSUAL.search(request) or request.lower().count(b"\r\nhost:") != 1:
            return False
        return self._manner.header is not None or not CONDITIONS.search(request)

    def _placed(self, quoted: bytes) -> tuple[Recipe, Path] | None:
        try:
            recipe = Mezzanine.parse(unquote_to_bytes(quoted).decode())
            return recipe, self._store.path(recipe)
        except (Failure, UnicodeError):
            return None

    def _written(self, stored: Stored, old: bool) -> bytes:
        headers = [("Cache-Status", STALE if old else HIT), *self._manner.headers(stored)]
        return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii")
