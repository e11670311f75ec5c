"""Draws the pictures of docs/formats.md. Run `python -m tools.draw_formats` after a mode was added."""

from __future__ import annotations

import io
from pathlib import Path

from mezcal.convert import ConversionContext, ConversionOptions, convert
from tools.tiny_masters import WIDTH, masters

DOCS = Path(__file__).parent.parent / "docs" / "formats"
CONTEXT = ConversionContext(ConversionOptions(quality=80, subsampling="4:2:0", max_edge=WIDTH))


def main() -> None:
    """Write all pictures."""
    DOCS.mkdir(exist_ok=True)
    for name, master in masters().items():
        convert(io.BytesIO(master), DOCS / f"{name}.jpg", CONTEXT)


if __name__ == "__main__":
    main()
