"""The commands of the documentation, run against a real `mezcal up` with its samples.

A block of `shell` is run line by line. A block of `console` must also print what the page shows, where `...` stands for
any text. A block that cannot be run here has the reason above it: `<!-- not run: it needs Docker -->`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import ROOT
from tests.support.installation import SAMPLES, Installation, running_installation

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(ROOT.glob("docs/*.md"))]
BLOCK = re.compile(
    r"(?P<before>[^\n]*)\n\n?```(?P<language>shell|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"<!-- not run: .{8,} -->")
STEP = re.compile(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
PRINTED_AT = "http://127.0.0.1:5000"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the pages' examples use curl")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and the text of the blocks in *page* that are to be run."""
    found = BLOCK.finditer("\n" + page.read_text())
    return [(block["language"], block["text"]) for block in found if not NOT_RUN.fullmatch(block["before"])]


RUN = {page: blocks(page) for page in PAGES if blocks(page)}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running_installation(tmp_path_factory.mktemp("pages"), SAMPLES.as_uri()) as running:
        (running.folder / ".venv").symlink_to(Path(sys.prefix))
        running.ask("agave-p3.tif")
        yield running


def run(command: str, installation: Installation) -> str:
    """Run *command* in a folder like a checkout, port 5000 replaced by *installation*. Returns its output."""
    done = subprocess.run(
        ["bash", "-c", command.replace(PRINTED_AT, installation.url)],
        cwd=installation.folder,
        env=installation.environment | {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command} ends with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.replace("\r", "")


def as_pattern(output: str) -> re.Pattern[str]:
    """Return *output* as a pattern in which `...` stands for any text."""
    return re.compile(".*".join(map(re.escape, output.strip().split("..."))), re.DOTALL)


def test_the_first_curl_gets_a_sample(installation: Installation) -> None:
    run("curl -o agave.jpg http://127.0.0.1:5000/images/agave-p3.tif", installation)
    assert (installation.folder / "agave.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_commands_do_what_the_page_says(page: Path, installation: Installation) -> None:
    for language, text in RUN[page]:
        if language == "shell":
            for command in text.replace("\\\n", " ").splitlines():
                run(command, installation)
        for command, expected in STEP.findall(text) if language == "console" else []:
            output = run(command, installation)
            assert as_pattern(expected).fullmatch(output.strip()), f"{command} prints\n{output}"
