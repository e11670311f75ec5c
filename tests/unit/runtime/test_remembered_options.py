"""The options that a running `mezcal up` saves for other commands, and what overrides them."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mezcal import sample
from mezcal.runtime.up.remembered_options import FILE, options_saved, saved_options, settings_with_saved_options
from mezcal.settings import Layout, Settings

SAVED = {"repo_base_url": "http://saved.example/", "redis_url": "redis+socket:///saved.sock"}
LEAVE = """
import sys; from pathlib import Path; from mezcal.runtime.up.remembered_options import options_saved
with options_saved(Path(sys.argv[1]), {"repo_base_url": "http://dead.example/"}):
    print("left", flush=True); sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The run folder in the data folder that commands use here."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mezcal-data" / "run"
    folder.mkdir(parents=True)
    return folder


def test_a_command_uses_the_options_of_the_running_one(run: Path) -> None:
    with options_saved(run, SAVED):
        chosen = settings_with_saved_options()
        assert chosen.repo_base_url == "http://saved.example/"
        assert chosen.redis_url is not None
        assert chosen.redis_url.get_secret_value() == "redis+socket:///saved.sock"
        assert stat.S_IMODE((run / FILE).stat().st_mode) == 0o600


def test_after_a_stop_origin_and_store_are_known_but_no_queue(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with options_saved(run, SAVED | {"storage_dir": "/srv/cache", "storage_layout": "md5_encoded"}):
        pass
    chosen = settings_with_saved_options()
    assert (chosen.repo_base_url, chosen.storage_dir) == ("http://saved.example/", Path("/srv/cache"))
    assert chosen.redis_url is None
    assert settings_with_saved_options(repo_base_url="http://given.example/").storage_dir is None
    monkeypatch.setenv("DIRECTORY_LAYOUT", "basic")
    assert settings_with_saved_options().storage_layout is Layout.BASIC, "the other name of the setting"
    monkeypatch.setenv("STORAGE_DIR", "/srv/another")
    assert settings_with_saved_options().repo_base_url is None


def test_the_environment_goes_before_it_and_the_env_file_behind(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("REPO_BASE_URL=http://file.example/\nREDIS_URL=redis://file.example\n")
    monkeypatch.setenv("REPO_BASE_URL", "http://shell.example/")
    with options_saved(run, SAVED):
        chosen = settings_with_saved_options()
    assert chosen.repo_base_url == "http://shell.example/"
    assert str(chosen.redis_url and chosen.redis_url.get_secret_value()) == "redis+socket:///saved.sock"


def test_a_secret_that_comes_by_file_goes_before_it_too(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text("redis://given.example/0")
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "url"))
    with options_saved(run, SAVED):
        chosen = settings_with_saved_options()
    assert str(chosen.redis_url and chosen.redis_url.get_secret_value()) == "redis://given.example/0"


def test_commands_use_the_samples_as_origin_if_the_running_one_serves_them(run: Path, tmp_path: Path) -> None:
    with options_saved(run, {}):
        assert settings_with_saved_options().repo_base_url == sample.FOLDER.as_uri()
        (tmp_path / ".env").write_text("REPO_BASE_URL=http://next.example/\n")
        assert settings_with_saved_options().repo_base_url == "http://next.example/", "tried before a restart"


def test_a_killed_one_does_not_count_as_running_and_makes_room_for_the_next(run: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEAVE, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert saved_options(run) == {"repo_base_url": "http://dead.example/"}
        process.kill()
    assert saved_options(run) is None
    with options_saved(run, SAVED):
        assert saved_options(run) == SAVED
