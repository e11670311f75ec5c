"""Cards that astropy cannot read: which ones a picture can do without, and what is wrong with the others."""

from __future__ import annotations

import re

CARD = 80  # bytes
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([ED][+-]?\d+)?")
SCALING = re.compile(rb"(BSCALE|BZERO|BLANK) *=")
BITPIX = (b"8", b"16", b"32", b"64", b"-32", b"-64")
AXES_MAX = 999


def without_broken_scaling(block: bytes) -> bytes:
    """Returns *block* with blanks instead of each BSCALE, BZERO and BLANK that is no number, or a BSCALE of zero.

    Without them the pixels have other values, but the picture is the same. A number in quotes is taken as one.
    """
    if b"BSCALE" not in block and b"BZERO" not in block and b"BLANK" not in block:
        return block
    return b"".join(_repaired(block[start : start + CARD]) for start in range(0, len(block), CARD))


def _repaired(card: bytes) -> bytes:
    match = SCALING.match(card)
    if match is None:
        return card
    value = _value(card).strip(b"' ")
    if not NUMBER.fullmatch(value) or (match[1] == b"BSCALE" and not float(value.replace(b"D", b"E"))):
        return b" " * CARD
    return card.replace(b"'", b" ") if b"'" in card else card


def header_fault(header: bytes) -> str | None:
    """Returns what is wrong with the mandatory cards of *header*, in words. None if nothing is."""
    cards = [header[start : start + CARD] for start in range(0, len(header), CARD)]
    if not any(card.rstrip() == b"END" for card in cards):
        return "it has no END card, or the file ends before it"
    values = {card[:8].rstrip(): _value(card) for card in reversed(cards) if card[8:9] == b"="}  # the first one counts
    if values.get(b"BITPIX") not in BITPIX:
        return f"BITPIX is {_shown(values.get(b'BITPIX'))}, and may be 8, 16, 32, 64, -32 or -64"
    axes = values.get(b"NAXIS", b"")
    if not axes.isdigit() or int(axes) > AXES_MAX:
        return f"NAXIS is {_shown(axes)}, and may be a whole number up to {AXES_MAX}"
    for number in range(1, int(axes) + 1):
        size = values.get(b"NAXIS%d" % number, b"")
        if not size.isdigit():
            return f"NAXIS{number} is {_shown(size)}, and has to be a whole number"
    return None


def _value(card: bytes) -> bytes:
    return card.partition(b"=")[2].partition(b"/")[0].strip()


def _shown(value: bytes | None) -> str:
    return value.decode("ascii", "replace")[:20] if value else "missing"
