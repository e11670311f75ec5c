"""The image by itself: its size, its health, its end, its rights, and every format that mezcal reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import CONFINED, engine
from tools.tiny_masters import masters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.engine import Container

    Start = Callable[..., Container]

OWN_LAYERS_MAX = 320_000_000  # bytes above the base image
USERS = ("10001:10001", "12345:0")  # that of the image, and one that a cluster chose
SAMPLE = "http://127.0.0.1:5000/images/agave-p3.tif"
ASK_AND_STOP = f"""
import os, signal, threading, urllib.error, urllib.request as u
found = []
def ask():
    try:
        found.append(u.urlopen({SAMPLE!r}, timeout=40).status)
    except urllib.error.HTTPError as refused:
        found.append(refused.status)
asked = threading.Thread(target=ask)
asked.start()
while asked.is_alive() and b"mezcal_waiting_requests 0" in u.urlopen("http://127.0.0.1:5000/metrics").read():
    pass
os.kill(1, signal.SIGTERM)
asked.join()
print(*found)
"""


def size(image: str) -> int:
    return int(engine("image", "inspect", "--format", "{{.Size}}", image).stdout)


def test_the_own_layers_stay_small(image: str) -> None:
    assert size(image) - size("python:3.11-slim-bookworm") <= OWN_LAYERS_MAX


def test_the_image_tells_the_engine_how_it_is_checked_and_ended(image: str) -> None:
    config = json.loads(engine("image", "inspect", "--format", "{{json .Config}}", image).stdout)
    check = engine("image", "inspect", "--format", "{{json .HealthCheck}}", image, check=False)
    assert (config.get("Healthcheck") or json.loads(check.stdout))["Test"] == ["CMD", "mezcal", "healthy"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["User"] == "10001:10001"
    assert set(config["Volumes"]) == {"/var/cache/mezcal", "/var/lib/mezcal"}


@pytest.mark.parametrize("user", USERS)
def test_all_of_mezcal_runs_on_a_read_only_root_as_any_user_of_group_0(start: Start, user: str) -> None:
    container = start("up", [*CONFINED, "--user", user, "--memory", "1g"]).until_healthy()
    assert container.ask(SAMPLE).status == 200
    assert container.ask("http://127.0.0.1:5000/readyz").status == 200
    status = container.run("cat", "/proc/1/status").stdout
    assert "Seccomp:\t2" in status, "the engine's default filter is on"
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert container.run("touch", "/opt/mezcal/x", check=False).returncode != 0
    assert container.end() == 0, container.log()


def test_what_is_asked_when_it_is_stopped_is_answered(start: Start) -> None:
    container = start("up", CONFINED).until_healthy()
    status = container.run("python", "-c", ASK_AND_STOP).stdout.strip()
    assert status in {"200", "503"}, (
        f"{status}; a job that has begun is finished, another is refused: {container.log()}"
    )
    assert engine("wait", container.name).stdout.strip() == "0"


def test_the_image_reads_every_format_that_mezcal_reads(start: Start, tmp_path: Path) -> None:
    """What the build removes from packages is needed by none of them."""
    tmp_path.chmod(0o755)
    for name, body in masters().items():
        (tmp_path / name).write_bytes(body)
    mounted = ["--volume", f"{tmp_path}:/masters:ro", "--env", "REPO_BASE_URL=file:///masters"]
    container = start("up", [*CONFINED, *mounted]).until_healthy()
    answers = {name: container.ask(f"http://127.0.0.1:5000/images/{name}") for name in masters()}
    assert {name: answer.text for name, answer in answers.items() if answer.status != 200} == {}


def test_a_cache_of_the_former_image_is_served_and_taken_over(start: Start, volume: Callable[[str], str]) -> None:
    """The image of umd-lib/mezcal runs as root."""
    cache = volume("cache")
    old = "install -d /cache/old.tif && printf '%s' \"$0\" > /cache/old.tif/image.jpg && chown -R 0:0 /cache"
    jpeg = r"\377\330\377\340 an image \377\331"
    as_root = ["run", "--rm", "--user", "0", "--volume", f"{cache}:/cache", "--entrypoint", "sh", "mezcal:dev", "-c"]
    engine(*as_root, old.replace("'%s' \"$0\"", f"'{jpeg}'"))
    container = start("up", [*CONFINED, "--volume", f"{cache}:/var/cache/mezcal"])
    assert container.until_healthy().ask("http://127.0.0.1:5000/images/old.tif").status == 200
    checked = container.run("mezcal", "check", check=False)
    assert "chown -R 10001" in checked.stdout + checked.stderr
    engine(*as_root, "chown -R 10001:10001 /cache")
    assert container.run("mezcal", "check", check=False).returncode == 0, container.run("mezcal", "check").stdout
    assert container.ask(SAMPLE).status == 200
    assert container.ask("http://127.0.0.1:5000/images/old.tif").status == 200
