"""The bar of commands that take long: live on a terminal, plain lines elsewhere, never on stdout."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest

from mezcal.commands.terminal.progress_bar import progress_bar

PROGRAM = """
from mezcal.commands.terminal.progress_bar import progress_bar
with progress_bar("warming", {total}, line_seconds=0) as bar:
    bar.show(400, failed=3)
    bar.print_line("a word")
    bar.show(1000, {later}, failed=1200)
"""


def on_a_terminal(program: str, columns: int) -> str:
    """Run *program* on a terminal of *columns* columns. Returns its output."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        output = b""
        while piece := read(ours):
            output += piece
    os.close(ours)
    return output.decode()


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("columns", [100, 0])
def test_a_terminal_gets_a_live_bar(columns: int) -> None:
    output = on_a_terminal(PROGRAM.format(total=1000, later=1000), columns)
    assert re.search(r"\rwarming: 100%\|.*\| 1000/1000 \[.*images/s, 00:00 left, failed 1,200\]", output)
    assert "\ra word\r\n" in re.sub(r"\r +\r", "\r", output)
    assert output.endswith("\r\n")


def test_what_is_left_can_be_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("warm", line_seconds=0) as bar:
        bar.show(1, 2, left="1 waits for its next attempt", failed=1)
        bar.show(2, 2, failed=1)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"warm: 50% 1/2 \[.*images/s, 1 waits for its next attempt, failed 1\]", first)
    assert re.fullmatch(r"warm: 100% 2/2 \[.*images/s, 00:00 left, failed 1\]", last)


def test_elsewhere_there_are_plain_lines() -> None:
    words = [sys.executable, "-c", PROGRAM.format(total=1000, later=1000)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout == "a word\n"
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"warming: 40% 400/1000 \[.*images/s, .* left, failed 3\]", lines[0])
    assert re.fullmatch(r"warming: 100% 1000/1000 \[.*images/s, 00:00 left, failed 1,200\]", lines[-1])
    assert "\r" not in done.stderr


def test_slow_work_has_a_rate_in_images_too() -> None:
    program = """
from mezcal.commands.terminal.progress_bar import progress_bar
with progress_bar("warm", 2, line_seconds=0) as bar:
    bar._bar.start_t -= 60
    bar._bar.smoothing = 0
    bar.show(1)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert re.search(r"\[ ?0\.0\d images/s, ", done.stderr)


def test_a_total_may_become_known_later() -> None:
    words = [sys.executable, "-c", PROGRAM.format(total=None, later=2000)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"warming: 400 \[.*images/s, failed 3\]", lines[0])
    assert re.fullmatch(r"warming: 50% 1000/2000 \[.*images/s, .* left, failed 1,200\]", lines[-1])


@pytest.mark.parametrize(("total", "expected"), [(0, "warming: 1000 ["), (500, "warming: 100% 1000/1000 [")])
def test_more_than_was_counted_before_is_no_fraction_of_it(total: int, expected: str) -> None:
    words = [sys.executable, "-c", PROGRAM.format(total=total, later=None)]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stderr.splitlines()
    assert lines[-1].startswith(expected), lines
