"""Makes text from elsewhere safe to print on a terminal."""

from __future__ import annotations

LENGTH_MAX = 200  # characters


def printable(text: str, length_max: int = LENGTH_MAX) -> str:
    """Returns *text* as one line without control characters, cut after *length_max* characters."""
    text = text.encode("utf-8", "backslashreplace").decode()
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= length_max else f"{text[:length_max]}.."
