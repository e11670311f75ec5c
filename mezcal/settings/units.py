"""Parses and formats sizes, times and counts as people write them: `500GB`, `20GiB`, `90d`."""

from __future__ import annotations

import re

SUFFIXES = {"": 1024, "b": 1000, "ib": 1024}
BYTES = {letter + suffix: base**power for power, letter in enumerate("kmgt", 1) for suffix, base in SUFFIXES.items()}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
NUMBER_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def bytes_of(text: str) -> int:
    """Parse a size in bytes: `20GiB` and `20G` are 20 * 2**30, `20GB` is 20 * 10**9. Raises `ValueError`."""
    return int(_number(text, {"": 1, "b": 1, **BYTES}, "bytes, as 500GB (10^9) or 20GiB (2^30)"))


def seconds_of(text: str) -> float:
    """Parse a time in seconds: `90d` is ninety days, `90` is ninety seconds. Raises `ValueError`."""
    return _number(text, {"": 1, **SECONDS}, "seconds, or a time as 90d, 12h or 2w")


def _number(text: str, units: dict[str, int], example: str) -> float:
    match = NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        raise ValueError(f"must be {example}")
    return float(match[1]) * units[match[2].lower()]


def format_count(count: int, thing: str) -> str:
    """Format *count* with the plural of *thing* unless it is one: `1 image`, `1,200 images`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def format_bytes(size: float) -> str:
    """Format *size* bytes with a decimal unit, as `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def format_seconds(seconds: float) -> str:
    """Format *seconds* in the largest unit of which there is at least one, as `3 h`."""
    for unit, length in reversed(SECONDS.items()):
        if seconds >= length and unit != "w":
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
