"""The note in the sidecar of a thumbnail: what the JSON of the answer says about its picture."""

from __future__ import annotations

from typing import Any

ALIGNED = "aligned"


def write_note(aligned: str | None, cutout: dict[str, str | float] | None) -> str | None:
    """Returns how frames were *aligned* and what a *cutout* shows as one line, None if there is nothing to say."""
    values = {ALIGNED: aligned, **(cutout or {})}
    return "; ".join(f"{name}={value}" for name, value in values.items() if value is not None) or None


def read_note(note: str | None) -> tuple[str | None, dict[str, Any] | None]:
    """Returns how frames were aligned, and what a cutout shows, None for what *note* does not say."""
    pairs = (part.partition("=") for part in (note or "").split("; "))
    values: dict[str, Any] = {name: _number(value) for name, equals, value in pairs if equals}
    aligned = values.pop(ALIGNED, None)
    if "covered" not in values:
        return aligned, None
    return aligned, values | {"partial": values["covered"] < 1}


def _number(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value
