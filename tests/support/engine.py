"""A container engine, if this machine has one: podman or docker, or the program that ENGINE names.

ENGINE_BUILD names another program for `build` (with the arguments of `podman build`), ENGINE_COMPOSE one for
compose. Requests are sent from inside containers: their network may be one that this machine does not reach.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tests import ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE = "mezcal:dev"
BASES = ("python:3.11-slim-bookworm", "valkey/valkey:8.1-alpine", "nginx:1.28-alpine")
CONFINED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
BUILD_SECONDS, PULL_SECONDS, COMMAND_SECONDS = 1800, 600, 120
REQUEST = """
import json, sys, urllib.request as u
method, url, headers = json.loads(sys.argv[1])
class Asked(u.HTTPErrorProcessor):
    def http_response(self, request, response): return response
answer = u.build_opener(Asked).open(u.Request(url, method=method, headers=headers), timeout=60)
body = answer.read()
print(json.dumps([answer.status, dict(answer.headers), len(body), body[:200000].decode("latin-1")]))
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP server answered."""

    status: int
    headers: dict[str, str]
    length: int
    text: str


def program(variable: str, *names: str) -> list[str] | None:
    """Returns the command that *variable* has, else the first of the programs *names* that exists, else None."""
    if os.environ.get(variable):
        return shlex.split(os.environ[variable])
    found = [name for name in names if shutil.which(name.split()[0])]
    return found[0].split() if found else None


@cache
def reason_to_skip() -> str:
    """Returns why no image can be built and run here; empty if it can."""
    if program("ENGINE", "podman", "docker") is None:
        return "needs podman or docker, or ENGINE"
    missing = [base for base in BASES if not has_image(base)]
    return f"base images are missing: {', '.join(missing)}" if missing else ""


def has_image(name: str) -> bool:
    """Returns True if the engine has the image *name*, or could fetch it."""
    if engine("image", "inspect", name, check=False).returncode == 0:
        return True
    return engine("pull", "--quiet", name, check=False, seconds=PULL_SECONDS).returncode == 0


def engine(*words: str, check: bool = True, seconds: int = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run the engine with *words*. Fails with its output if *check*."""
    command = program("ENGINE", "podman", "docker")
    assert command is not None
    return _run([*command, *words], check, seconds)


def compose(*words: str, files: Sequence[str] = (), env: dict[str, str] | None = None, check: bool = True) -> str:
    """Run the composition *files* of the checkout. Returns the output."""
    command = program("ENGINE_COMPOSE", "podman-compose", "docker compose", "docker-compose")
    assert command is not None
    named = [word for file in files for word in ("-f", file)]
    return _run([*command, *named, *words], check, BUILD_SECONDS, env).stdout


def _run(
    command: list[str], check: bool, seconds: int, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT, env=os.environ | (env or {})
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


@cache
def built() -> str:
    """Build the image, once a run. Returns its name."""
    build = program("ENGINE_BUILD") or [*(program("ENGINE", "podman", "docker") or []), "build"]
    formatted = ["--format", "docker"] if "podman" in build[0] or os.environ.get("ENGINE_BUILD") else []
    _run([*build, *formatted, "-t", IMAGE, "."], True, BUILD_SECONDS)
    return IMAGE


class Container:
    """A running container; `stop` it in the end."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def start(cls, name: str, options: Sequence[str], image: str, *command: str) -> Container:
        """Start *command* of *image* with the *options* of `run`."""
        engine("rm", "--force", name, check=False)
        engine("run", "--detach", "--name", name, *options, image, *command)
        return cls(name)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run *command* inside."""
        return engine("exec", self.name, *command, check=check)

    def ask(self, url: str, method: str = "GET", **headers: str) -> Answer:
        """Send a request from inside. *headers* are named with underscores for hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        done = self.run("python", "-c", REQUEST, json.dumps([method, url, given]))
        return Answer(*json.loads(done.stdout))

    def healthy(self) -> bool:
        """Returns the result of the health check that the image has."""
        return self.run("mezcal", "healthy", check=False).returncode == 0

    def until_healthy(self, seconds: float = 120) -> Container:
        """Wait until it is healthy. Fails with its log if it ends."""
        until(lambda: not self.running() or self.healthy(), seconds, f"{self.name}: {self.log()}")
        assert self.running(), self.log()
        return self

    def state(self) -> dict[str, Any]:
        """Returns what the engine says of its process."""
        return dict(json.loads(engine("inspect", "--format", "{{json .State}}", self.name).stdout))

    def running(self) -> bool:
        """Returns True while its process runs."""
        return bool(self.state()["Running"])

    def end(self, seconds: int = 50) -> int:
        """Stop it by SIGTERM, as an engine does. Returns its exit code; fails if it had to be killed."""
        engine("stop", "--time", str(seconds), self.name, seconds=seconds + 60)
        return int(self.state()["ExitCode"])

    def log(self) -> str:
        """Returns what it has written."""
        done = engine("logs", self.name, check=False)
        return (done.stdout + done.stderr)[-6000:]

    def remove(self) -> None:
        """Remove it, with its unnamed volumes."""
        engine("rm", "--force", "--volumes", self.name, check=False)
