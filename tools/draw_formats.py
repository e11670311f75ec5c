"""Draws the pictures of docs/formats.md: `python -m tools.draw_formats`, by hand, where a mode is added."""

from __future__ import annotations

import io
from pathlib import Path

from mezcal.convert import ConversionOptions, convert
from tools.tiny_masters import WIDTH, masters

DOCS = Path(__file__).parent.parent / "docs" / "formats"
CHOICES = ConversionOptions(quality=80, subsampling="4:2:0", max_edge=WIDTH)


def main() -> None:
    """Write every picture anew."""
    DOCS.mkdir(exist_ok=True)
    for name, master in masters().items():
        convert(io.BytesIO(master), DOCS / f"{name}.jpg", CHOICES)


if __name__ == "__main__":
    main()
