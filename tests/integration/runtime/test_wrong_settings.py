"""Every role that is started with a wrong or missing setting ends with one line and exit code 2.

The first case of each role is a process of its own. The others run the same command line in a forked process, which has
imported everything already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import as_process, in_fork
from tests.support.roles import bare_environment, free_port

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
        done = run([*words, *port], env | given, tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), (name, done.stderr)
        assert done.stderr.startswith(f"mezcal: {line}"), (name, done.stderr)
