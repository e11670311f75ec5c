"""The other commands of `mezcal`, as an operator of a running installation types them."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import termios
from contextlib import contextmanager
from fcntl import ioctl
from typing import TYPE_CHECKING, Any

from tests.support.installation import MEZCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

SIZE = struct.pack("HHHH", 24, 100, 0, 0)  # rows and columns


def run(installation: Installation, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `mezcal` with *words* in *installation*'s folder and environment; *options* are those of `subprocess.run`."""
    env = installation.environment | options.pop("env", {})
    given: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60} | options
    if "input" not in given:
        given["stdin"] = subprocess.DEVNULL
    return subprocess.run([MEZCAL, *words], check=False, cwd=installation.folder, env=env, **given)


@contextmanager
def started(installation: Installation, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start `mezcal` with *words*; killed at the end if it still runs."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "stdin": subprocess.DEVNULL}
    with subprocess.Popen([MEZCAL, *words], cwd=installation.folder, env=installation.environment, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def on_a_terminal(installation: Installation, *words: str, typed: str = "") -> tuple[int, str]:
    """Run `mezcal` with *words* on a terminal, and type *typed*. Returns the exit code and the output."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, SIZE)
    with subprocess.Popen(
        [MEZCAL, *words],
        cwd=installation.folder,
        env=installation.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        output = b""
        while piece := _read(ours):
            output += piece
        code = process.wait(60)
    os.close(ours)
    return code, output.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""
