"""The URLs of a derivative, and the texts that an operator makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from mezcal.recipe import MEZZANINE
from mezcal.settings.downstream.address import PLACEHOLDER

if TYPE_CHECKING:
    from mezcal.recipe import Mezzanine

UNESCAPED = "/!$&'()*+,;=:@~"  # what a path may have as it is (RFC 3986, 3.3): some clients write these, some %XX


def url_paths(recipe: Mezzanine) -> list[str]:
    """Return the paths, with queries, at which the API serves the derivative of *recipe*, percent-encoded.

    A path that clients encode in two ways is in the list twice: caches compare URLs as texts.
    """
    query = "" if recipe.page is None else f"?page={recipe.page}"
    return [f"{path}{query}" for encoded in _encoded(recipe.path) for path in _bases(recipe, encoded)]


def filled(template: str, recipe: Mezzanine, *, raw: bool = False) -> list[str]:
    """Return the texts of *template* with its placeholders filled in: one for each URL and encoding.

    With *raw*, paths are not encoded.
    """
    if "{url}" in template:
        return list(
            dict.fromkeys(_replaced(template, _values(recipe, "", raw=raw) | {"url": url}) for url in url_paths(recipe))
        )
    paths = [recipe.path] if raw else _encoded(recipe.path)
    return list(dict.fromkeys(_replaced(template, _values(recipe, path, raw=raw)) for path in paths))


def _replaced(template: str, values: dict[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _values(recipe: Mezzanine, path: str, *, raw: bool) -> dict[str, str]:
    identifier = recipe.path if raw else quote(recipe.path, safe="")
    page = "" if recipe.page is None else str(recipe.page)
    return {"url": "", "path": path, "identifier": identifier, "page": page, "profile": recipe.profile.name}


def _encoded(path: str) -> list[str]:
    return list(dict.fromkeys((quote(path, safe="/~"), quote(path, safe=UNESCAPED))))


def _bases(recipe: Mezzanine, path: str) -> list[str]:
    derivative = f"/derivatives/{recipe.profile.name}/{path}.{recipe.profile.extension}"
    return [f"/images/{path}", f"/mezzanine/{path}.jpg", derivative] if recipe.profile == MEZZANINE else [derivative]
