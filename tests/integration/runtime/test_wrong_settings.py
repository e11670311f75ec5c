"""Every role that is started with a wrong or missing setting ends with one line and exit code 2.

The first case of each role is a process of its own. The others run the same command line in a forked process, which has
imported everything already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from mezcal import cli
from mezcal.commands import COMMANDS
from tests.support.forked import exit_code, fork
from tests.support.roles import MEZCAL, bare_environment, free_port

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = {"REPO_BASE_URL": "http://127.0.0.1:1/", "REDIS_URL": "redis://127.0.0.1:1/0"}
SECRET = {"AUTH_TYPE": "JWT_SECRET"}
ORIGIN = {
    "no repository": ({"REPO_BASE_URL": ""}, "REPO_BASE_URL is not set"),
    "no secret": (SECRET, "JWT_SECRET is not set: AUTH_TYPE=JWT_SECRET needs it -> set JWT_SECRET"),
}
BROKER = {
    "no such file": (SECRET | {"JWT_SECRET_FILE": "no-such-file"}, "JWT_SECRET_FILE names no-such-file: No such file"),
    "wrong number": ({"WAIT_SECONDS": "many"}, "WAIT_SECONDS is 'many'"),
    "wrong scheme": ({"REDIS_URL": "amqp://x"}, "REDIS_URL begins with amqp://x"),
    "wrong port": ({"REDIS_URL": "redis://x:port/0"}, "REDIS_URL cannot be read"),
}
ROLES = [
    (("api",), ORIGIN | BROKER),
    (("worker", "--concurrency", "2"), ORIGIN | BROKER),
    (("worker", "--concurrency", "1"), ORIGIN),
    (("beat",), ORIGIN | BROKER),
    (("flower",), BROKER),
    (("up", "--nginx", "never"), {"no secret": ORIGIN["no secret"]}),
    (("warm", "a.tif"), BROKER),
    (("purge", "a.tif"), BROKER),
    (("failures",), BROKER),
]


@pytest.mark.parametrize(("words", "cases"), ROLES, ids=[" ".join(words) for words, _ in ROLES])
def test_a_wrong_setting_ends_the_role_with_one_line(
    tmp_path: Path, words: tuple[str, ...], cases: dict[str, tuple[dict[str, str], str]]
) -> None:
    env = bare_environment() | RIGHT | {"DATA_DIR": str(tmp_path / "data")}
    port = ("--port", str(free_port())) if words[0] in {"api", "flower", "up"} else ()
    for number, (name, (given, line)) in enumerate(cases.items()):
        run = in_fork if number else as_process
        code, output, errors = run([*words, *port], env | given, tmp_path)
        assert (code, output, errors.count("\n")) == (2, "", 1), (name, errors)
        assert errors.startswith(f"mezcal: {line}"), (name, errors)


def as_process(words: list[str], env: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Returns the exit code of `mezcal` with *words*, and what it wrote to stdout and stderr."""
    done = subprocess.run(
        [MEZCAL, *words], env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def in_fork(words: list[str], env: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Returns the same of the command line in a forked process."""
    for module in ("mezcal.origin", "mezcal.jobs", *(command.module for command in COMMANDS)):
        import_module(module)

    def command() -> None:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        for descriptor, stream in ((1, "stdout"), (2, "stderr")):
            with (folder / stream).open("wb") as file:
                os.dup2(file.fileno(), descriptor)
            setattr(sys, stream, os.fdopen(descriptor, "w", buffering=1, closefd=False))
        os._exit(cli.main(words))

    code = exit_code(fork(command))
    return code, (folder / "stdout").read_text(), (folder / "stderr").read_text()
