"""Each origin has a cache and a queue of its own, whatever is started in one data folder."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from mezcal.recipe import Mezzanine
from mezcal.settings import load
from mezcal.store import open_store
from tests.support.commands import as_process, in_fork, run
from tests.support.installation import ONE_WORKER, SAMPLES, Installation, running_installation
from tests.support.roles import bare_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.broker import Broker

PAGE = "page.tif"
ALONE = (*ONE_WORKER, "--nginx", "never")


@pytest.fixture
def masters(tmp_path: Path) -> dict[str, Path]:
    """Two folders of masters with the same names: `valley` and `agave`."""
    folders = {"valley": tmp_path / "valley", "agave": tmp_path / "agave"}
    for name, sample in (("valley", "maps/valley.tif"), ("agave", "agave-p3.tif")):
        folders[name].mkdir()
        shutil.copy(SAMPLES / sample, folders[name] / PAGE)
    return folders


def size_in(up: Installation) -> int:
    """Returns the bytes of the image of PAGE that *up* serves."""
    answer = up.ask(PAGE)
    assert answer.status_code == 200
    return len(answer.content)


def mezcal(folder: Path, *words: str, **given: str) -> tuple[int, list[str]]:
    """Run `mezcal` with *words*, `up` as a process of its own. Returns the exit code and the lines on stderr."""
    start = as_process if words[0] == "up" else in_fork
    ended = start(words, bare_environment() | given, folder)
    return ended.returncode, ended.stderr.splitlines()


def test_another_origin_in_the_same_data_folder_gets_none_of_the_former_ones_pictures_and_failures(
    tmp_path: Path, masters: dict[str, Path]
) -> None:
    (masters["valley"] / "broken.tif").write_bytes(b"II*\0 broken")
    shutil.copy(SAMPLES / "agave-p3.tif", masters["agave"] / "broken.tif")
    with running_installation(tmp_path, masters["valley"].as_uri(), *ALONE) as up:
        valley = size_in(up)
        assert up.ask("broken.tif").status_code in {415, 422}
        assert up.stop() == 0
    with running_installation(tmp_path, masters["agave"].as_uri(), *ALONE) as up:
        assert size_in(up) != valley
        assert up.ask("broken.tif").status_code == 200
        assert up.stop() == 0
    with running_installation(tmp_path, masters["valley"].as_uri(), *ALONE) as up:
        first = up.ask(PAGE)
        assert (len(first.content), first.headers["Cache-Status"].split("; ")[1]) == (valley, "hit")
        assert len(up.table.failures(9)) == 1, "they wait for their origin"


# --- STORAGE_DIR


@pytest.fixture
def taken(tmp_path: Path, masters: dict[str, Path]) -> dict[str, str]:
    """The variables of an installation for `agave`, whose STORAGE_DIR is the cache of `valley`."""
    env = {"STORAGE_DIR": str(tmp_path / "cache"), "REPO_BASE_URL": masters["valley"].as_uri()}
    assert mezcal(tmp_path, "cache", "adopt", **env)[0] == 0
    return env | {"REPO_BASE_URL": masters["agave"].as_uri()}


@pytest.mark.parametrize(
    "words",
    [
        "up --port 0",
        "api --port 1",
        "worker --concurrency 1",
        "worker --concurrency 2",
        "beat",
        "warm page.tif",
        "purge page.tif",
        "cache stats",
        "cache trim --to 0",
        "cache verify --mend",
    ],
)
def test_the_cache_of_another_origin_is_refused_in_one_line(
    tmp_path: Path, taken: dict[str, str], broker: Broker, words: str
) -> None:
    code, lines = mezcal(tmp_path, *words.split(), **taken, REDIS_URL=broker.url)
    assert (code, len(lines)) == (2, 1), lines
    assert str(tmp_path / "cache") in lines[0]
    assert lines[0].endswith(f"run once: mezcal cache adopt --origin '{taken['REPO_BASE_URL']}/'")


def test_one_command_lifts_it(tmp_path: Path, taken: dict[str, str], masters: dict[str, Path]) -> None:
    assert mezcal(tmp_path, "cache", "adopt", "--origin", str(masters["agave"]), **taken) == (0, [])
    given = {name: value for name, value in taken.items() if name != "REPO_BASE_URL"}
    with running_installation(tmp_path, masters["agave"].as_uri(), *ALONE, **given) as up:
        assert size_in(up)


def test_check_and_readiness_say_so(tmp_path: Path, taken: dict[str, str], masters: dict[str, Path]) -> None:
    """The cache was changed under a running installation."""
    given = {name: value for name, value in taken.items() if name != "REPO_BASE_URL"}
    with running_installation(tmp_path, masters["valley"].as_uri(), *ALONE, **given) as up:
        assert up.request("/readyz").status_code == 200
        assert mezcal(tmp_path, "cache", "adopt", **taken)[0] == 0
        checks = json.loads(run(up, "check", "--json").stdout)["checks"]
        [store] = [check for check in checks if check["name"] == "store"]
        assert store["level"] == "failed"
        assert "mezcal cache adopt" in store["hint"]


# --- commands find the store of the running installation


@pytest.fixture
def beside(tmp_path: Path, masters: dict[str, Path]) -> Iterator[Installation]:
    """A trial of mezcal with a cache of its own, beside the `.env` of an older installation."""
    given = {"STORAGE_DIR": str(tmp_path / "trial"), "STORAGE_LAYOUT": "md5_encoded"}
    (tmp_path / ".env").write_text(f"STORAGE_DIR={tmp_path / 'live'}\nREPO_BASE_URL=http://live.example/\n")
    with running_installation(tmp_path, masters["valley"].as_uri(), *ALONE, **given) as up:
        up.settings = load(_env_file=None, repo_base_url=masters["valley"].as_uri(), storage_dir=tmp_path / "trial")
        yield up


def test_commands_act_on_the_cache_that_up_serves_and_not_on_that_of_the_env_file(
    tmp_path: Path, beside: Installation
) -> None:
    live = tmp_path / "live" / PAGE / "image.jpg"
    live.parent.mkdir(parents=True)
    live.write_bytes(b"\xff\xd8 of the older one \xff\xd9")
    assert size_in(beside)
    env = bare_environment()

    def typed(*words: str) -> str:
        start = as_process if words[:2] == ("cache", "trim") else in_fork
        ended = start([*words, "--data-dir", "data"], env, tmp_path)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert json.loads(typed("cache", "stats", "--count", "--json"))["derivatives"] == 1
    assert "purged  page.tif" in typed("purge", PAGE)
    assert json.loads(typed("cache", "stats", "--count", "--json"))["derivatives"] == 0
    typed("cache", "trim", "--to", "0")
    assert live.exists()
    assert beside.ask(PAGE).headers["Cache-Status"].split("; ")[1] != "hit"


# --- caches from before


@pytest.mark.slow
def test_a_cache_in_the_data_folder_of_an_older_version_is_taken_over_once(
    tmp_path: Path, masters: dict[str, Path]
) -> None:
    with running_installation(tmp_path, masters["valley"].as_uri(), *ALONE) as up:
        valley = size_in(up)
        assert up.stop() == 0
        own = up.settings.cache_dir
    shutil.rmtree(own / ".mezcal")
    own.rename(tmp_path / "data" / "cache")
    with running_installation(tmp_path, masters["agave"].as_uri(), *ALONE) as up:
        assert size_in(up) != valley
        assert "it is not used: the cache" in up.journal.read_text()
        assert up.stop() == 0
    with running_installation(tmp_path, masters["valley"].as_uri(), *ALONE) as up:
        assert up.ask(PAGE).headers["Cache-Status"].split("; ")[1] == "hit"
    assert open_store(up.settings).find(Mezzanine.parse(PAGE)) is not None
    assert not (tmp_path / "data" / "cache").exists()
