"""Folders, patterns and `--all`, as an operator types them: of a folder, and of what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mezcal import cli
from mezcal.derive import recipe_versions
from mezcal.errors import MasterMissing
from mezcal.jobs import Jobs, Lane
from mezcal.recipe import Mezzanine
from mezcal.store import Sidecar, Store

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings import Settings

STORED = ("a.tif", "box1/1.tif", "box1/deep/2.tif", "box10/3.tif")


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """The store belongs to the folder of masters."""
    (tmp_path / "masters").mkdir()
    return {"repo_base_url": f"file://{tmp_path}/masters"}


@pytest.fixture
def typed(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of masters, and an environment that names it, the store and the broker of the test."""
    folder = tmp_path / "masters"
    for path in (*STORED, "new/4.tif"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"II*\0")
    assert settings.redis_url is not None
    given = {
        "DATA_DIR": str(settings.data_dir),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "KEY_PREFIX": settings.key_prefix,
        "REPO_BASE_URL": f"file://{folder}",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def stored(store: Store, settings: Settings) -> Store:
    version = recipe_versions(settings)["mezzanine"]
    for path in STORED:
        recipe = Mezzanine(path)
        sidecar = Sidecar(recipe.as_json(), version, "s", None, None, None, "TIFF", 4, 1, 1, "0" * 64, 0.0, 0.0)
        with store.draft() as draft:
            draft.write_bytes(b"\xff\xd8\xff\xd9")
            store.put(recipe, draft, sidecar, lambda: None)
    return store


def left(store: Store) -> set[str]:
    return {path for path in STORED if store.find(Mezzanine(path))}


@pytest.mark.parametrize(
    ("named", "gone"),
    [
        (("box1/",), {"box1/1.tif", "box1/deep/2.tif"}),
        (("box1",), {"box1/1.tif", "box1/deep/2.tif"}),
        (("{folder}/box1/deep",), {"box1/deep/2.tif"}),
        (("box*/*.tif",), {"box1/1.tif", "box10/3.tif"}),
        (("--prefix", "box1"), {"box1/1.tif", "box1/deep/2.tif", "box10/3.tif"}),
        (("a.tif", "box10/"), {"a.tif", "box10/3.tif"}),
        (("--all",), set(STORED)),
    ],
)
def test_a_folder_or_a_pattern_purges_what_is_stored_below_it(
    typed: Path, stored: Store, named: tuple[str, ...], gone: set[str]
) -> None:
    assert cli.main(["purge", "--yes", *(name.format(folder=typed) for name in named)]) == 0
    assert left(stored) == set(STORED) - gone


def test_a_folder_that_is_gone_from_the_repository_can_be_purged(typed: Path, stored: Store) -> None:
    (typed / "box10" / "3.tif").unlink()
    (typed / "box10").rmdir()
    assert cli.main(["purge", "box10/"]) == 0
    assert left(stored) == set(STORED) - {"box10/3.tif"}


def test_the_whole_repository_is_purged_by_its_option_only(
    typed: Path, stored: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["purge", f"{typed}/"]) == 1
    assert f"refused  {typed}/: this is the whole repository: say --all" in capsys.readouterr().out
    assert left(stored) == set(STORED)


def test_warm_lists_the_folder_itself(typed: Path, stored: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed
    assert cli.main(["warm", "--dry-run", "--all"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        *(f"cached  {path}" for path in STORED),
        "missing  new/4.tif",
        "5 named: 4 cached, 1 missing",
    ]
    assert cli.main(["warm", "new/", "b*/?.tif"]) == 0
    assert capsys.readouterr().out == "3 named: 2 cached, 1 queued\n"


def test_a_repository_over_http_has_no_list(
    typed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed
    monkeypatch.setenv("REPO_BASE_URL", "https://repository.example/rest/")
    assert cli.main(["warm", "--dry-run", "box1/", "--all"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "skipped  box1/: a repository has no list of its masters: name them by --from or --manifest",
        "skipped  --all: a repository has no list of its masters: name them by --from or --manifest",
        "0 named; 2 skipped",
    ]


def test_failures_of_a_folder_are_forgotten(typed: Path, jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed
    for path in ("box1/1.tif", "box1/deep/2.tif", "a.tif"):
        jobs.table.ensure(Mezzanine(path), Lane.INTERACTIVE)
        claim = jobs.table.begin(Mezzanine(path).key, "a worker")
        assert claim is not None
        jobs.table.fail(claim, MasterMissing("none"))
    assert cli.main(["failures", "--forget", "./box1/"]) == 0
    assert [record.recipe["path"] for record in jobs.failures()] == ["a.tif"]
    assert cli.main(["failures", "--forget", f"{typed}/a.tif"]) == 0
    assert jobs.failures() == []
    assert capsys.readouterr().err == ""
