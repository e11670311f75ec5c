"""Finds the masters that events name: those in the repository that may be images."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from mimetypes import MimeTypes
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe, OriginUnknown
from mezcal.ingest.events.event import OBJECT, PATH, RECIPE, URL, EventKind
from mezcal.origin import urls
from mezcal.recipe import Mezzanine, from_json, profiles_of
from mezcal.settings.origins import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mezcal.ingest.events.event import Event
    from mezcal.origin import Origin
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings
    from mezcal.settings.origins import NamedOrigin


class EventIgnored(Exception):
    """Nothing follows from an event. The message is the reason, which its batch shows."""


class MasterResolver:
    """Finds the master of an event by path, URL or object, for the installation that *settings* describe."""

    def __init__(self, settings: Settings, origin: Origin) -> None:
        self.origin = origin
        self._bases: list[tuple[str, str | None]] = [(base, None) for base in settings.webhook_base_urls]
        self._buckets: list[tuple[str, str | None]] = [(bucket, None) for bucket in settings.webhook_buckets]
        for named in settings.origins:
            self._add_names_of(named, shared=named.name == REPOSITORY)
        self._paths = re.compile("|".join(map(translate, settings.webhook_paths)))
        self._types = settings.webhook_types
        self._profiles = profiles_of(settings)
        self._guess = MimeTypes(filenames=()).guess_type  # the same on every machine
        self._path_of: dict[str, Callable[[Any], str]] = {PATH: _text, URL: self._of_url, OBJECT: self._of_object}

    def _add_names_of(self, origin: NamedOrigin, *, shared: bool) -> None:
        """Add the URLs and buckets by which events name masters of *origin*, unless they are *shared* by all."""
        if not shared:
            self._bases += [(base, origin.prefix) for base in origin.settings.webhook_base_urls]
            self._buckets += [(bucket, origin.prefix) for bucket in origin.settings.webhook_buckets]
        own = urls.bucket_and_prefix(origin.base_url)
        if own:
            self._buckets.append(("/".join(own), origin.prefix))

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
        self._of_origin(None, path)
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
        found = ((prefix, urls.path_under(f"{base.rstrip('/')}/", text)) for base, prefix in self._bases)
        path = self._first_of_origin((prefix, rest) for prefix, rest in found if rest is not None)
        path = self.origin.path_of(text) if path is None else path
        if path is None:
            raise EventIgnored("its URL begins neither with REPO_BASE_URL nor with one of WEBHOOK_BASE_URLS")
        return path

    def _of_object(self, place: Any) -> str:
        bucket, key = place
        known = ((prefix, *configured.partition("/")) for configured, prefix in self._buckets)
        path = self._first_of_origin(
            (prefix, str(key).removeprefix(beginning))
            for prefix, name, _, beginning in known
            if bucket == name and key.startswith(beginning)
        )
        if path is None:
            raise EventIgnored("its bucket and key are neither below REPO_BASE_URL nor in WEBHOOK_BUCKETS")
        return path

    def _first_of_origin(self, named: Iterable[tuple[str | None, str]]) -> str | None:
        """Return the first of the paths *named*, as in `_of_origin`, that its origin has; None if none is named.

        Raises the first `EventIgnored` if other origins have all of them.
        """
        ignored = None
        for prefix, rest in named:
            try:
                return self._of_origin(prefix, rest)
            except EventIgnored as reason:
                ignored = ignored or reason
        if ignored is not None:
            raise ignored
        return None

    def _of_origin(self, prefix: str | None, rest: str) -> str:
        """Return the path of the master *rest* of the origin with this *prefix*; with None, of any origin.

        Raises `EventIgnored` if another origin has that path.
        """
        path = (prefix or "") + rest
        try:
            member, _ = self.origin.of_path(path)
        except OriginUnknown as unknown:
            raise EventIgnored(unknown.detail) from unknown
        if prefix not in {None, member.prefix}:
            raise EventIgnored(f"the origin {member.name} has the masters at this path")
        return path

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
