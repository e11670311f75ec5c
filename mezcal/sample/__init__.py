"""Masters that come with mezcal, so that the first start has something to show; README.md says what each is."""

from pathlib import Path

FOLDER = Path(__file__).parent
