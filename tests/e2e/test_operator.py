"""The operator's page in a real browser: with a keyboard, on a phone, light and dark, without scripts, checked by axe.

Most of it needs node and `npm ci` in tests/e2e/viewer: `make e2e` runs it. Chromium alone shows that the page works.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import ONE_WORKER, SAMPLES, running_installation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

HERE = Path(__file__).parent / "viewer"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
READY = (HERE / "node_modules" / "axe-core").is_dir() and shutil.which("node") is not None
TOKEN = "an-operators-token"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation that trusts this machine, with one image made and some failed."""
    with running_installation(tmp_path_factory.mktemp("trusted"), SAMPLES.as_uri(), *ONE_WORKER) as installation:
        yield in_use(installation)


def in_use(installation: Installation) -> Installation:
    assert installation.ask("maps/valley.tif").status_code == 200
    for path in ("absent.tif", "gone.tif"):
        assert installation.ask(path).status_code == 404
    assert installation.ask("README.md").status_code == 415
    return installation


def shown_by_chromium(installation: Installation, folder: Path, *options: str) -> str:
    """Return the page as a browser has it after its scripts have run."""
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
    ended = subprocess.run(
        [*command, *options, "--dump-dom", f"{installation.url}/ops"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout


def test_a_browser_shows_the_page_and_runs_its_script_under_its_own_policy(
    trusted: Installation, tmp_path: Path
) -> None:
    page = shown_by_chromium(trusted, tmp_path)
    assert "Operator's page" in page
    assert "maps/valley.tif" in page
    assert "Retry after the change: all 2" in page
    assert "data-live-control" in page
    assert '<p data-live-control="" hidden' not in page, "the script did not run"


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Visit the page as an operator with a token. Returns the browser's observations."""
    folder = tmp_path_factory.mktemp("operator")
    with running_installation(folder, SAMPLES.as_uri(), API_TOKENS=TOKEN) as installation:
        in_use(installation)
        command = ["node", "operator.mjs", installation.url, TOKEN, str(CHROMIUM)]
        ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stderr
    visit: dict[str, Any] = json.loads(ended.stdout)
    return visit


@pytest.mark.slow
@pytest.mark.skipif(not READY, reason="needs node and `npm ci` in tests/e2e/viewer: run `make e2e`")
class TestAnOperator:
    """One visit, and what several tests check of it."""

    def test_signs_in_by_keyboard(self, met: dict[str, Any]) -> None:
        assert "not one of API_TOKENS" in met["refused"]
        assert [component.split()[1] for component in met["components"]] == ["Broker", "Store", "Workers", "Repository"]
        assert all("healthy" in component for component in met["components"])

    def test_finds_no_error_and_nothing_from_other_hosts(self, met: dict[str, Any]) -> None:
        assert met["complaints"] == []
        assert met["foreign"] == []
        assert met["cookies"] == "", "a script can read the session"

    def test_retries_by_keyboard_and_without_scripts(self, met: dict[str, Any]) -> None:
        assert "queued again" in met["result"]
        assert "queued again" in met["plain"]

    def test_sees_the_page_update_itself_until_that_is_switched_off(self, met: dict[str, Any]) -> None:
        assert met["fetched"] == ["fetch"], "it was loaded as a whole"
        assert met["focus"] == "SUMMARY", "the focus was lost"
        assert met["paused"]

    def test_breaks_no_rule_of_accessibility_light_or_dark_at_a_desk_or_on_a_phone(self, met: dict[str, Any]) -> None:
        assert {place: found for place, found in met["violations"].items() if found} == {}
        assert min(met["kept"].values()) > 10, "the rules were not tried"
        assert {place: more for place, more in met["wider"].items() if more > 0} == {}

    def test_signs_out(self, met: dict[str, Any]) -> None:
        assert met["out"] == met["closed"]
