"""Text of others, as it may be shown on a terminal: one line, and nothing that steers it."""

from __future__ import annotations

MOST = 200  # characters


def printable(text: str, most: int = MOST) -> str:
    """*text*, whatever its bytes are, shortened to *most* characters."""
    text = text.encode("utf-8", "backslashreplace").decode()
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= most else f"{text[:most]}.."
