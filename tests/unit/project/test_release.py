"""What a release is made of: licences, the source archive, the changelog."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests import ROOT
from tools.release import licences

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_licences_of_the_locked_packages_are_up_to_date() -> None:
    page = (ROOT / licences.PAGE).read_text()
    assert licences.packages() in page, "packages have changed: run `make docs` and commit the result"
    if platform.machine() == "x86_64" and sys.version_info[:2] == (3, 11):
        assert page == licences.renewed(page), "libraries in packages have changed: run `make docs`"


def test_the_licence_of_the_bundled_font_is_in_the_page() -> None:
    assert (ROOT / licences.FONT_LICENCE).read_text().strip() in (ROOT / licences.PAGE).read_text()


def test_each_file_of_the_top_level_is_in_the_source_archive() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
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
