"""The page about formats says what the code does."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_page_about_formats_is_the_table_in_the_code():
    made = runpy.run_path(str(DOCS / "make_formats.py"))["markdown"]()
    assert (DOCS / "formats.md").read_text(encoding="utf-8") == made, "run docs/make_formats.py"
