"""Numbers as text for people."""

from __future__ import annotations

from datetime import UTC, datetime


def readable_size(count: int) -> str:
    """Return *count* bytes as text: `0 bytes`, `830 KB`, `1.4 GB` (with 1000 bytes in a KB, as disks are sold)."""
    if count < 1000:
        return f"{count} byte" if count == 1 else f"{count} bytes"
    amount, units = count / 1000, ["KB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.1f} {units[0]}" if amount < 9.95 else f"{amount:,.0f} {units[0]}"


def readable_duration(seconds: float) -> str:
    """Return *seconds* as text: `40 ms`, `3.2 s`, `5 min`, `2 h`, `3 days`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for size, unit, limit in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def per_minute(value: float) -> str:
    """Return *value* as text: `1,200 a minute`."""
    return f"{value:,.0f} a minute"


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return *number* with its noun: `1 worker`, `2 workers`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def sentence(text: str) -> str:
    """Return *text*, which begins in lower case and has no full stop, as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def minute(seconds: float) -> str:
    """Return a time, given in seconds since 1970, as `2026-11-29 15:43 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def rfc3339(seconds: float) -> str:
    """Return a time, given in seconds since 1970, as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
