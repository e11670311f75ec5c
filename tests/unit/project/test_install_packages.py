"""The counter of `make install` says how far pip is."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING

from tests import ROOT
from tools.release.install_packages import Counter

if TYPE_CHECKING:
    from pathlib import Path

LINES = """\
Ignoring colorama: markers 'sys_platform == "win32"' don't match your environment
Collecting amqp==5.4.2 (from -r requirements/run.txt (line 3))
  Downloading amqp-5.4.2-py3-none-any.whl (500 kB)
Requirement already satisfied: six==1.17.0 in ./.venv/lib (from -r requirements/run.txt (line 9)) (1.17.0)
Collecting numpy==2.4.6 (from -r requirements/run.txt (line 6))
  Using cached numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.5 MB)
Installing collected packages: numpy, amqp
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO) -> str:
    counter = Counter(4, out)
    for line in LINES.splitlines():
        counter.read(line)
    return out.getvalue()


def test_a_terminal_shows_each_package_of_how_many_and_the_megabytes() -> None:
    text = shown(Terminal())
    assert "package 1 of 3, 0 MB: amqp" in text
    assert "package 3 of 3, 0 MB: numpy" in text
    assert text.endswith("fetched 3 packages, 17 MB; writing them\n")


def test_a_log_gets_one_line() -> None:
    assert shown(io.StringIO()) == "  fetched 3 packages, 17 MB; writing them\n"


def test_what_pip_says_of_a_failure_is_shown_with_its_exit_code(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("not a requirement at all\n")
    program = ROOT / "tools/release/install_packages.py"
    done = subprocess.run([sys.executable, program, lock], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Invalid requirement" in done.stdout
    assert "could not be installed" in done.stdout
