"""A real IIIF server and a real viewer in front of mezcal. `make e2e` installs them; without them, nothing is run."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

HERE = Path(__file__).parent / "viewer"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
READY = (HERE / "node_modules").is_dir() and CHROMIUM is not None and shutil.which("node") is not None

FILES = {"jpeg": "image.jpg", "pyramid": "pyramid.tif"}

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


@contextmanager
def image_server(installation: Installation, kind: str) -> Iterator[str]:
    """Run a IIIF server without a cache, which takes derivatives of this *kind*. Yields its URL."""
    command = ["node", "image_server.mjs", installation.url, kind]
    server = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


def seen(info: str, screenshot: Path | None = None, seconds: float = 100) -> dict[str, object]:
    """Open the image at *info* in the viewer. Returns what the viewer shows."""
    command = ["node", "view.mjs", str(CHROMIUM), info, *([str(screenshot)] if screenshot else [])]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=seconds, check=False)
    assert ended.returncode == 0, ended.stderr
    view: dict[str, object] = json.loads(ended.stdout)
    return view


@pytest.mark.parametrize("state", ["cold", "warm"])
@pytest.mark.parametrize(
    ("source", "kind"), [("maps/valley.tif", "jpeg"), ("agave-p3.tif", "jpeg"), ("portrait-rotated.tif", "pyramid")]
)
def test_a_reader_sees_every_tile(shown: Installation, source: str, kind: str, state: str) -> None:
    if state == "warm":
        shown.request(f"/images/{source}" if kind == "jpeg" else f"/derivatives/pyramid/{source}.tif")
    stored = shown.settings.cache_dir / source / FILES[kind]
    assert stored.exists() == (state == "warm")
    with image_server(shown, kind) as url:
        view = seen(f"{url}/iiif/3/{quote(source, safe='')}/info.json")
    assert view["opened"]
    assert view["failed"] == []
    assert int(str(view["tiles"])) > 1
    assert int(str(view["colours"])) > 50
