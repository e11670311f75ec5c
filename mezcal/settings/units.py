"""Bytes and seconds as people write and read them: `500GB`, `20GiB`, `90d`."""

from __future__ import annotations

import re

ENDS = {"": 1024, "b": 1000, "ib": 1024}
BYTES = {letter + end: base**power for power, letter in enumerate("kmgt", 1) for end, base in ENDS.items()}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def bytes_of(text: str) -> int:
    """`20GiB` or `20G` is 20 * 2**30, `20GB` 20 * 10**9, `20` twenty bytes; `ValueError` says what may be written."""
    return int(_number(text, {"": 1, "b": 1, **BYTES}, "bytes, as 500GB (10^9) or 20GiB (2^30)"))


def seconds_of(text: str) -> float:
    """`90d` is ninety days, `90` ninety seconds; `ValueError` says what may be written."""
    return _number(text, {"": 1, **SECONDS}, "seconds, or a time as 90d, 12h or 2w")


def _number(text: str, units: dict[str, int], form: str) -> float:
    written = WRITTEN.fullmatch(text.strip())
    if written is None or written[2].lower() not in units:
        raise ValueError(f"must be {form}")
    return float(written[1]) * units[written[2].lower()]


def shown(size: float) -> str:
    """*size* bytes with a unit of 1,000, for people."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def shown_seconds(seconds: float) -> str:
    """*seconds* in the largest unit that they fill, for people."""
    for unit, length in reversed(SECONDS.items()):
        if seconds >= length and unit != "w":
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
