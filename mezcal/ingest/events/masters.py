"""Which of the things that events name are masters of ours, and can be images."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from mimetypes import MimeTypes
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.ingest.events.event import OBJECT, PATH, RECIPE, URL, Kind
from mezcal.origin import urls
from mezcal.recipe import Mezzanine, from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.ingest.events.event import Event
    from mezcal.origin import Origin
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings


class Ignored(Exception):
    """Nothing follows from an event; the message is the reason, for whoever asks about its batch."""


class Masters:
    """The masters of the installation that *settings* describe, whatever producers call them."""

    def __init__(self, settings: Settings, origin: Origin) -> None:
        self._origin = origin
        self._bases = [base.rstrip("/") + "/" for base in settings.webhook_base_urls]
        self._buckets = [one.partition("/")[::2] for one in settings.webhook_buckets]
        self._ours = re.compile("|".join(map(translate, settings.webhook_paths)))
        self._types = settings.webhook_types
        self._guess = MimeTypes(filenames=()).guess_type  # what this machine's files say is nobody's business
        self._ways: dict[str, Callable[[Any], str]] = {PATH: _text, URL: self._of_url, OBJECT: self._of_object}

    def recipe(self, event: Event) -> Recipe:
        """What *event* is about; raises `Ignored` for what is not ours, or can be no image."""
        if event.by == RECIPE:
            return _checked(event.name)
        path = self._ways[event.by](event.name)
        try:
            recipe = Mezzanine.parse(path)
        except BadRecipe as wrong:
            raise Ignored(wrong.detail) from wrong
        if event.kind is Kind.WANTED:  # whoever lists masters means them
            return recipe
        if not self._ours.match(path):
            raise Ignored("its path is none of WEBHOOK_PATHS")
        if event.kind is not Kind.DELETED:  # what is deleted was an image if it is stored
            self._can_be_image(path, event.media)
        return recipe

    def _of_url(self, url: Any) -> str:
        text = _text(url)
        for base in self._bases:
            path = urls.path_under(base, text)
            if path is not None:
                return path
        path = self._origin.path_of(text)
        if path is None:
            raise Ignored("its URL lies neither under REPO_BASE_URL nor under WEBHOOK_BASE_URLS")
        return path

    def _of_object(self, place: Any) -> str:
        bucket, key = place
        for name, prefix in self._buckets:
            if bucket == name and key.startswith(prefix):
                return str(key).removeprefix(prefix)
        raise Ignored("its bucket and key are none of WEBHOOK_BUCKETS")

    def _can_be_image(self, path: str, media: str | None) -> None:
        """What neither the producer nor the name tells may be one."""
        told = (media or self._guess(path.rpartition("/")[2], strict=False)[0] or "").partition(";")[0].strip().lower()
        if told and not any(fnmatchcase(told, one) for one in self._types):
            raise Ignored(f"{told[:80]} is none of WEBHOOK_TYPES")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Ignored("its name is no text")
    return value


def _checked(data: Any) -> Recipe:
    try:
        return from_json(data)
    except (BadRecipe, AttributeError) as wrong:
        raise Ignored(str(wrong)) from wrong
