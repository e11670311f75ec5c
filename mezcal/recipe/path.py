"""Which paths name a master."""

from __future__ import annotations

import unicodedata

from mezcal.errors import BadRecipe

PATH_MAX = 2048  # bytes of UTF-8: servers in front accept 4 or 8 KiB of quoted URL, three bytes for each


def plain_path(path: str) -> str:
    """Returns *path* unchanged if it is a plain relative path: no segment (RFC 3986) is empty, `.` or `..`.

    Raises `BadRecipe` with the rule that the path breaks.
    """
    if not path:
        raise BadRecipe("the path is empty: name a master, as in /images/<path>")
    if len(path) > PATH_MAX or (not path.isascii() and len(path.encode("utf-8", "surrogatepass")) > PATH_MAX):
        raise BadRecipe(f"the path is longer than {PATH_MAX} bytes")
    # A printable path has no control characters, and `isprintable` is a hundred times as fast as the loop.
    if not path.isprintable() and any(unicodedata.category(char) in {"Cc", "Cs"} for char in path):
        raise BadRecipe("the path holds a control character")
    if "\N{REPLACEMENT CHARACTER}" in path:
        raise BadRecipe("the path is not UTF-8")
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            raise BadRecipe(f"the path has a segment {segment!r}: only plain relative paths name a master")
    return path
