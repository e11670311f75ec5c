"""Finds the masters that events name: those in the repository that may be images."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from mimetypes import MimeTypes
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.ingest.events.event import OBJECT, PATH, RECIPE, URL, EventKind
from mezcal.origin import urls
from mezcal.recipe import Mezzanine, from_json, profiles_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.ingest.events.event import Event
    from mezcal.origin import Origin
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings


class EventIgnored(Exception):
    """Nothing follows from an event. The message is the reason, which its batch shows."""


class MasterResolver:
    """Finds the master of an event by path, URL or object, for the installation that *settings* describe."""

    def __init__(self, settings: Settings, origin: Origin) -> None:
        self.origin = origin
        self._bases = [base.rstrip("/") + "/" for base in settings.webhook_base_urls]
        own = urls.bucket_and_prefix(settings.repo_base_url or "")
        self._buckets = [bucket.partition("/")[::2] for bucket in settings.webhook_buckets] + ([own] if own else [])
        self._paths = re.compile("|".join(map(translate, settings.webhook_paths)))
        self._types = settings.webhook_types
        self._profiles = profiles_of(settings)
        self._guess = MimeTypes(filenames=()).guess_type  # the same on every machine
        self._path_of: dict[str, Callable[[Any], str]] = {PATH: _text, URL: self._of_url, OBJECT: self._of_object}

    def resolve(self, event: Event) -> Recipe:
        """Return the recipe that *event* is about.

        Raises `EventIgnored` if the master is not in the repository or cannot be an image, and `BadRecipe` if this
        worker does not have the profile.
        """
        if event.named_by == RECIPE:
            return self._in_profile(_parse_recipe(event.name), event.profile)
        path = self._path_of[event.named_by](event.name)
        try:
            recipe = Mezzanine.parse(path)
        except BadRecipe as wrong:
            raise EventIgnored(wrong.detail) from wrong
        if event.kind is EventKind.WANTED:  # the filters below are for events, not for lists
            return self._in_profile(recipe, event.profile)
        if not self._paths.match(path):
            raise EventIgnored("its path does not match WEBHOOK_PATHS")
        if event.kind is not EventKind.DELETED:  # a deleted master was an image if its derivative is stored
            self._check_type(path, event.media)
        return recipe

    def _in_profile(self, recipe: Recipe, name: str | None) -> Recipe:
        if name is None or not isinstance(recipe, Mezzanine):
            return recipe
        if name not in self._profiles:
            raise BadRecipe(f"a worker has another PROFILES_FILE, which lacks {name[:40]!r}: give it that of the API")
        return recipe.in_profile(self._profiles[name])

    def _of_url(self, url: Any) -> str:
        text = _text(url)
        for base in self._bases:
            path = urls.path_under(base, text)
            if path is not None:
                return path
        path = self.origin.path_of(text)
        if path is None:
            raise EventIgnored("its URL begins neither with REPO_BASE_URL nor with one of WEBHOOK_BASE_URLS")
        return path

    def _of_object(self, place: Any) -> str:
        bucket, key = place
        for name, prefix in self._buckets:
            if bucket == name and key.startswith(prefix):
                return str(key).removeprefix(prefix)
        raise EventIgnored("its bucket and key are neither below REPO_BASE_URL nor in WEBHOOK_BUCKETS")

    def _check_type(self, path: str, media: str | None) -> None:
        """Raise `EventIgnored` if the media type, or that of the file name, is not in WEBHOOK_TYPES."""
        guessed = media or self._guess(path.rpartition("/")[2], strict=False)[0] or ""
        media_type = guessed.partition(";")[0].strip().lower()
        if media_type and not any(fnmatchcase(media_type, pattern) for pattern in self._types):
            raise EventIgnored(f"{media_type[:80]} is not in WEBHOOK_TYPES")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise EventIgnored("its name is not a string")
    return value


def _parse_recipe(data: Any) -> Recipe:
    try:
        return from_json(data)
    except (BadRecipe, AttributeError) as wrong:
        raise EventIgnored(str(wrong)) from wrong
