"""The other commands of `mezcal`, as an operator of a running installation types them."""

from __future__ import annotations

import logging
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager
from fcntl import ioctl
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mezcal import cli
from mezcal.commands import COMMANDS
from tests.support.forked import exit_code, fork
from tests.support.installation import MEZCAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.installation import Installation

SIZE = struct.pack("HHHH", 24, 100, 0, 0)  # rows and columns


def run(installation: Installation, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `mezcal` with *words* in *installation*'s folder and environment; *options* are those of `subprocess.run`."""
    env = installation.environment | options.pop("env", {})
    return as_process(words, env, installation.folder, **options)


def run_in_fork(
    installation: Installation, *words: str, env: Mapping[str, str] | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the same in a forked process; *typed* is its standard input."""
    return in_fork(words, installation.environment | (env or {}), installation.folder, typed)


def as_process(
    words: Sequence[str], env: Mapping[str, str], folder: Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `mezcal` with *words* in *folder*, with the variables *env*."""
    given: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60} | options
    if "input" not in given:
        given["stdin"] = subprocess.DEVNULL
    return subprocess.run([MEZCAL, *words], check=False, cwd=folder, env=dict(env), **given)


def in_fork(
    words: Sequence[str], env: Mapping[str, str], folder: Path, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the same command line in a forked process, which has imported everything: a start takes half a second."""
    for module in ("mezcal.origin", "mezcal.jobs", *(command.module for command in COMMANDS)):
        import_module(module)
    with TemporaryDirectory() as made:
        files = [Path(made, name) for name in ("stdin", "stdout", "stderr")]
        files[0].write_text(typed)
        code = exit_code(fork(lambda: _command(words, env, folder, files)))
        return subprocess.CompletedProcess(words, code, files[1].read_text(), files[2].read_text())


def _command(words: Sequence[str], env: Mapping[str, str], folder: Path, files: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    logging.getLogger().handlers.clear()  # those of pytest
    for descriptor, (file, mode) in enumerate(zip(files, "rww", strict=True)):
        with file.open(mode) as opened:
            os.dup2(opened.fileno(), descriptor)
        setattr(sys, file.name, os.fdopen(descriptor, mode, closefd=False))
    try:
        code = cli.main(words)
    except SystemExit as wrong_option:
        code = int(wrong_option.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


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
