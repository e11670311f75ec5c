"""What a release is made of: licences, the source archive, the changelog."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests import ROOT
from tools.release import licences
from tools.release.build import committed_files, pack, require_all
from tools.release.make_release import changes, why_no_tag
from tools.release.provenance import write_provenance

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def committed() -> list[str]:
    """Returns the names of the committed files. Skips the test where they cannot be known: in an unpacked archive."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("git cannot read this checkout")
    return [name for name in listed.stdout.split("\0") if name]


def test_the_licences_of_the_locked_packages_are_up_to_date() -> None:
    page = (ROOT / licences.PAGE).read_text()
    assert licences.packages() in page, "packages have changed: run `make docs` and commit the result"
    if platform.machine() == "x86_64" and sys.version_info[:2] == (3, 11):
        assert page == licences.renewed(page), "libraries in packages have changed: run `make docs`"


def test_the_licence_of_the_bundled_font_is_in_the_page() -> None:
    assert (ROOT / licences.FONT_LICENCE).read_text().strip() in (ROOT / licences.PAGE).read_text()


def test_each_file_of_the_top_level_is_in_the_source_archive() -> None:
    tracked = committed()
    manifest = (ROOT / "MANIFEST.in").read_text()
    folders = {name.partition("/")[0] for name in tracked if "/" in name}
    assert set(re.findall(r"^graft (\S+)", manifest, re.MULTILINE)) == folders
    of_build = {"MANIFEST.in", "celeryconfig.py", "pyproject.toml"}
    patterns = [word for line in re.findall(r"^include (.*)", manifest, re.MULTILINE) for word in line.split()]
    for name in {name for name in tracked if "/" not in name} - of_build:
        assert any(name == word or (word[0] == "*" and name.endswith(word[1:])) for word in patterns), name


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    newest = re.search(
        r"^## (\S+) (?:\(unreleased\)|- \d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert newest[1] == PROJECT["version"]


def test_the_same_files_are_packed_into_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for when in (1_000_000_000, 1_700_000_000):
        folder = tmp_path / "mezcal-2.0.0"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("b", "a"):
            (folder / name).write_text(name)
            os.utime(folder / name, (when, when))
        pack(folder, tmp_path / "archive.tar.gz", epoch=1_600_000_000)
        digests.add(hashlib.sha256((tmp_path / "archive.tar.gz").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_source_archive_that_lacks_a_file_is_not_released(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    require_all(["there"], tmp_path)
    with pytest.raises(SystemExit, match=r"MANIFEST\.in leaves out lost/file"):
        require_all(["there", "lost/file"], tmp_path)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_names_of_committed_files_are_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Ägäis à.tif").touch()
    as_somebody = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (["init", "-q"], ["add", "."], [*as_somebody, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], check=True)
    assert committed_files() == ["Ägäis à.tif"]
    require_all(committed_files(), tmp_path)


def test_the_notes_are_the_section_of_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 2.1.0 - 2027-01-02\n\nNew.\n\n## 2.0.0 - 2026-12-01\n\nOld.\n"
    )
    assert changes("2.1.0") == "New.\n"
    assert changes("2.0.0") == "Old.\n"
    with pytest.raises(SystemExit, match="no section for 3"):
        changes("3")


def test_a_tag_takes_a_clean_checkout_a_date_and_a_new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("GIT_AUTHOR", "a"), ("GIT_COMMITTER", "a")):
        monkeypatch.setenv(f"{name}_NAME", value)
        monkeypatch.setenv(f"{name}_EMAIL", "a@example.org")

    def git(*words: str) -> None:
        subprocess.run(["git", *words], check=True, capture_output=True)

    def changelog(heading: str) -> None:
        (tmp_path / "CHANGELOG.md").write_text(f"## {heading}\n")
        git("add", ".")
        git("commit", "-m", heading)

    git("init")
    changelog("2.0.0 (unreleased)")
    assert "write the date" in str(why_no_tag("2.0.0", "v2.0.0"))
    changelog("2.0.0 - 2026-12-01")
    assert why_no_tag("2.0.0", "v2.0.0") is None
    (tmp_path / "more").touch()
    assert "not committed" in str(why_no_tag("2.0.0", "v2.0.0"))
    (tmp_path / "more").unlink()
    git("tag", "v2.0.0")
    assert "raise the version" in str(why_no_tag("2.0.0", "v2.0.0"))


def test_the_provenance_names_each_file_by_its_digest_and_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed()
    monkeypatch.chdir(ROOT)
    (tmp_path / "wheel").write_bytes(b"bytes")
    written = write_provenance(tmp_path / "provenance.json", [tmp_path / "wheel"], datetime.now(UTC))
    statement = json.loads(written.read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "wheel", "digest": {"sha256": hashlib.sha256(b"bytes").hexdigest()}}]
    built = statement["predicate"]["buildDefinition"]
    assert len(built["externalParameters"]["commit"]) == 40
    assert {"uri": "git+file:.", "digest": {"gitCommit": built["externalParameters"]["commit"]}} in built[
        "resolvedDependencies"
    ]
