"""The help of the command line: it is fast, and each command shows an example that works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from mezcal import cli
from mezcal.commands import COMMANDS

NAMES = [command.name for command in COMMANDS]


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    assert re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE) == NAMES


def test_the_examples_of_the_help_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    examples = re.findall(r"^  mezcal(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(examples) == 5
    for example in examples:
        cli.parse(shlex.split(example, comments=True))


def test_the_help_imports_no_command() -> None:
    program = """
import sys
from mezcal import cli
try:
    cli.parse(["--help"])
finally:
    print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {command.module for command in COMMANDS} & set(done.stderr.split())
    assert "pydantic" not in done.stderr.split()


@pytest.mark.parametrize("name", NAMES)
def test_each_command_shows_an_example_that_can_be_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    examples = re.findall(r"^example: mezcal (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(examples) == 1
    words = shlex.split(examples[0])
    assert words[0] == name
    cli.parse(words)


@pytest.mark.parametrize(
    "words", [("warm", "--frames", "nosuch"), ("up", "--port", "nosuch"), ("failures", "--limit", "nosuch")]
)
def test_a_word_in_place_of_a_number_is_refused_without_the_name_of_a_function(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.parse(list(words))
    assert f"argument {words[1]}: 'nosuch' is no whole number" in capsys.readouterr().err
