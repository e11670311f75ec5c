"""A real IIIF server and a real viewer in front of mezcal. `make e2e` installs them; without them, nothing is run."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

HERE = Path(__file__).parent / "viewer"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
READY = (HERE / "node_modules").is_dir() and CHROMIUM is not None and shutil.which("node") is not None

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not READY, reason="needs node, Chromium and `npm ci` in tests/e2e/viewer: run `make e2e`"),
]


@pytest.fixture(
    scope="module", params=[("--nginx", "never"), ("--nginx", "always")], ids=["the API alone", "behind nginx"]
)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with (
        OriginServer(SAMPLES) as origin,
        running_installation(tmp_path_factory.mktemp("viewer"), origin.url, *request.param) as installation,
    ):
        yield installation


def seen(installation: Installation, source: str) -> dict[str, object]:
    """Open *source* in the viewer, through a IIIF server without a cache. Returns what the viewer shows."""
    command = ["node", "view.mjs", installation.url, source, str(CHROMIUM)]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    view: dict[str, object] = json.loads(ended.stdout)
    return view


@pytest.mark.parametrize("state", ["cold", "warm"])
@pytest.mark.parametrize("source", ["maps/valley.tif", "agave-p3.tif"])
def test_a_reader_sees_every_tile(shown: Installation, source: str, state: str) -> None:
    if state == "warm":
        shown.ask(source)
    else:
        assert shown.stored(source) is None
    view = seen(shown, source)
    assert view["opened"]
    assert view["failed"] == []
    assert int(str(view["tiles"])) > 1
    assert int(str(view["colours"])) > 50
