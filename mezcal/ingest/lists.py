"""Lists of masters as people and programs write them: one path, or one URL of the repository, a line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from mezcal.errors import BadRecipe
from mezcal.ingest.manifests import Passed
from mezcal.recipe import PATH_MAX, Mezzanine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TextIO

Value = TypeVar("Value")
LINE_MAX = 4 * PATH_MAX  # characters: a URL quotes each byte with three


def masters(paths: Iterable[str], path_of: Callable[[str], str | None]) -> Iterator[Mezzanine | Passed]:
    """The master that each of *paths* names; *path_of* gives a URL's path, None if that is not the repository's."""
    for path in paths:
        try:
            yield Mezzanine.parse((path_of(path) if path.startswith(("http://", "https://")) else None) or path)
        except BadRecipe as bad:
            yield Passed(path, bad.detail)


def lines(file: TextIO) -> Iterator[str]:
    """The lines of *file* that are not empty. Of one that is too long to be a path so much that it is refused."""
    whole = True
    while line := file.readline(LINE_MAX):
        begins, whole = whole, line.endswith("\n")
        if begins and (text := line.rstrip("\r\n")):
            yield text


def batches(values: Iterable[Value], most: int, seconds: float) -> Iterator[list[Value]]:
    """*values* in lists of *most*; after *seconds* what there is, as soon as the next one comes."""
    some: list[Value] = []
    began = time.monotonic()
    for value in values:
        some.append(value)
        if len(some) == most or time.monotonic() - began >= seconds:
            yield some
            some, began = [], time.monotonic()
    if some:
        yield some
