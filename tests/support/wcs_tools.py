"""Positions by two other programs: `wcsware` of wcslib, and `sky2xy` of WCSTools (Debian: wcslib-tools, wcstools).

WCSTools has code of its own for most projections, for SIP and TPV, and for the change between systems of coordinates.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Positions = Sequence[tuple[float, float]]

MISSING = [name for name in ("wcsware", "sky2xy") if shutil.which(name) is None]
needs_tools = pytest.mark.skipif(
    bool(MISSING), reason=f"needs {' and '.join(MISSING)}: apt-get install wcslib-tools wcstools"
)
PIXEL = re.compile(r"^Pixel:\s*(\S+),\s*(\S+)$", re.MULTILINE)
ANSWER = re.compile(r"-> +(\S+) +(\S+)")


def by_wcslib(path: Path, positions: Positions) -> list[tuple[float, float]]:
    """Returns x and y of *positions* in the frame's own system, as FITS counts pixels."""
    lines = "".join(f"{longitude:.9f} {latitude:.9f}\n" for longitude, latitude in positions)
    answer = _output("wcsware", "-w", str(path), given=lines)
    found = [(float(x), float(y)) for x, y in PIXEL.findall(answer)]
    assert len(found) == len(positions), answer
    return found


def by_wcstools(path: Path, positions: Positions) -> list[tuple[float, float]]:
    """Returns x and y of *positions* in J2000, as FITS counts pixels."""
    table = path.with_suffix(".positions")
    table.write_text("".join(f"{ra:.9f} {dec:.9f} J2000\n" for ra, dec in positions))
    answer = _output("sky2xy", "-n", "6", "-j", str(path), f"@{table}")
    found = [(float(x), float(y)) for x, y in ANSWER.findall(answer)]
    assert len(found) == len(positions), answer
    return found


def _output(*command: str, given: str = "") -> str:
    ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, check=False)
    assert not ended.returncode, ended.stderr
    return ended.stdout
