"""`mezcal api` says where it can be reached by clients that hold its threads."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from mezcal.runtime.address import is_loopback
from tests.support.roles import MEZCAL, bare_environment, free_port

if TYPE_CHECKING:
    from pathlib import Path

ELSEWHERE = "192.0.2.1"  # RFC 5737: no address of this machine, so gunicorn cannot listen there and ends


def first_lines(folder: Path, *options: str, **given: str) -> str:
    """Returns what `mezcal api` says on standard error until gunicorn cannot listen; gunicorn would try for 10 s."""
    env = bare_environment() | {"DATA_DIR": str(folder), "REPO_BASE_URL": "http://127.0.0.1:1/"} | given
    command = [MEZCAL, "api", "--port", str(free_port()), *options]
    redis = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    lines = []
    with subprocess.Popen(command, env=env | redis, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            lines.append(line)
            if "gunicorn.error" in line:
                break
        else:
            raise AssertionError(lines)
        process.kill()
    return "".join(lines)


@pytest.mark.parametrize(
    ("given", "count"), [({}, 1), ({"SENDFILE_HEADER": "X-Accel-Redirect"}, 0), ({"SENDFILE_HEADER": "X-Sendfile"}, 0)]
)
def test_an_api_that_other_machines_reach_without_a_server_in_front_says_so(
    tmp_path: Path, given: dict[str, str], count: int
) -> None:
    output = first_lines(tmp_path, "--host", ELSEWHERE, **given)
    assert output.count(f"mezcal: {ELSEWHERE} can be reached by other machines") == count


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
