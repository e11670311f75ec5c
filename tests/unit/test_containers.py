"""The container files start what `mezcal up` starts, with settings that there are. No engine is needed to tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mezcal.settings import Settings
from mezcal.up import parts
from mezcal.up.claim import Address, Folder

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if name != "redis"}
VARIABLES = {name.upper() for name in Settings.model_fields}
ELSEWHERE = {"WORKER_HEARTBEAT"}  # read by the worker itself
OF_THE_FILE = {
    "REDIS_PASSWORD",
    "MEZCAL_PORT",
    "FLOWER_PORT",
    "WORKER_PROCESSES",
    "MEZCAL_VERSION",
}
LOCAL = ("--concurrency", "--bind", "--workers", "--loglevel", "--address", "--db")  # another matter in a container


def without_local(words: list[str]) -> list[str]:
    """A command less the options that differ between one machine and containers."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in LOCAL:
            skip = True
        elif not word.startswith(LOCAL):
            kept.append(word)
    return kept


@pytest.fixture
def started_by_up(tmp_path: Path) -> dict[str, list[str]]:
    """The commands of `mezcal up`, by role, less the interpreter's own path."""
    settings, folder = Settings(_env_file=None), Folder(tmp_path, lock=-1)
    at = Address("127.0.0.1", 5555, loopback=True)
    cast = [
        parts.worker(settings, folder, 2, {}),
        parts.api(settings, folder, at, {}),
        parts.dashboard(folder, at, {}),
    ]
    return {part.name: without_local(list(part.argv[1:])) for part in cast}


def test_each_role_runs_what_up_runs(started_by_up: dict[str, list[str]]) -> None:
    composed = {name: without_local(service["command"][1:]) for name, service in OURS.items()}
    assert composed == started_by_up, "docker-compose.yml and mezcal/up/parts.py differ"


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_variable_of_a_role_is_read_by_somebody(service: dict[str, Any]) -> None:
    assert set(service["environment"]) <= VARIABLES | ELSEWHERE


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_no_role_may_more_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_the_api_is_published_to_the_world() -> None:
    published = {name: port for name, service in COMPOSE["services"].items() for port in service.get("ports", [])}
    assert published.pop("api").endswith(":5000")
    assert all(port.startswith("127.0.0.1:") for port in published.values())


def test_the_example_of_env_names_what_is_read() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert named <= VARIABLES | OF_THE_FILE
    assert named & OF_THE_FILE == OF_THE_FILE


def test_the_composition_asks_for_no_variable_that_the_example_lacks() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert asked <= set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_the_image_is_sent_what_it_is_built_from() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {source for line in copied for source in line.split()} == allowed
