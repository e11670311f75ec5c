"""Which paths name a master."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mezcal.errors import BadRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH_MAX = 2048  # bytes of UTF-8: servers in front accept 4 or 8 KiB of quoted URL, three bytes for each
DECODINGS_MAX = 5  # no server decodes a path more often
# What a server may read as an empty segment, `.` or `..`. Servlet containers cut a segment at `;` before they resolve
# `..`, programs in C cut it at NUL. Windows takes `\` for a slash, and drops dots and spaces at the end of a segment.
DOT_SEGMENT = re.compile(r"(?:\A|[/\\])([.\0-\x20]*)(?:[/\\;\0]|\Z)")


def plain_path(path: str) -> str:
    """Returns *path* unchanged if it is a plain relative path: no server may read a segment as empty, `.` or `..`.

    Raises `BadRecipe` with the rule that the path breaks.
    """
    if not path:
        raise BadRecipe("the path is empty: name a master, as in /images/<path>")
    if len(path) > PATH_MAX or (not path.isascii() and len(path.encode("utf-8", "surrogatepass")) > PATH_MAX):
        raise BadRecipe(f"the path is longer than {PATH_MAX} bytes")
    # A printable path has no control characters, and `isprintable` is a hundred times as fast as the loop.
    if not path.isprintable() and any(unicodedata.category(char) in {"Cc", "Cs"} for char in path):
        raise BadRecipe("the path holds a control character")
    if path[-1] == "/" and path.strip("/"):
        raise BadRecipe("a path that ends with / names a folder: name a file in it")
    if "\N{REPLACEMENT CHARACTER}" in path:
        raise BadRecipe("the path is not UTF-8")
    for reading in _readings(path):
        if found := DOT_SEGMENT.search(reading):
            raise BadRecipe(f"the path has a segment {found[1][:20]!r}: only plain relative paths name a master")
    return path


def _readings(path: str) -> Iterator[str]:
    """Yield *path*, and what it becomes each time that a server percent-decodes it again."""
    yield path
    for _ in range(DECODINGS_MAX):
        decoded = unquote(path) if "%" in path else path
        if decoded == path:
            return
        yield decoded
        path = decoded
    raise BadRecipe("the path is percent-encoded too often")
