"""Tests; `ROOT` is the checkout, `DATA` the files that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
