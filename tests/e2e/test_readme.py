"""The README's examples, run against a real `mezcal up` with its samples."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.house import SAMPLES, House, running_house

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (Path(__file__).parents[2] / "README.md").read_text()
SHELL = re.findall(r"^```shell\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CONSOLE = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PRINTED_AT = "http://127.0.0.1:5000"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the README's examples use curl")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("readme"), SAMPLES.as_uri()) as running:
        yield running


def run(command: str, house: House) -> str:
    """What *command* prints; every curl of the README goes to *house* instead."""
    words = shlex.split(command.replace(PRINTED_AT, house.url))
    assert words[0] == "curl"
    command_line = [*words, "--noproxy", "*"]
    done = subprocess.run(command_line, cwd=house.folder, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return done.stdout.replace("\r", "")


def as_pattern(told: str) -> re.Pattern[str]:
    """*told* as a pattern, `...` standing for anything."""
    return re.compile(".*".join(map(re.escape, told.strip().split("..."))), re.DOTALL)


def test_the_first_curl_gets_a_sample(house: House) -> None:
    [first] = [block for block in SHELL if "agave-p3.tif" in block]
    run(first.strip(), house)
    assert (house.folder / "agave.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_every_answer_is_as_printed(house: House) -> None:
    house.ask("agave-p3.tif")
    examples = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)+)", "".join(CONSOLE), re.MULTILINE)
    assert examples
    for command, told in examples:
        answer = run(command, house)
        assert as_pattern(told).fullmatch(answer.strip()), f"{command} answers\n{answer}"
