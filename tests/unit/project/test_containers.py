"""The container files hold together, and with the program. No engine is needed to tell."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from mezcal.cli import parse
from mezcal.commands.setup.secrets import TEMPLATES
from mezcal.settings import Settings
from mezcal.settings.other_names import known_names
from tests import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
S3 = yaml.safe_load((ROOT / "docker-compose.s3.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ALL = {**{f"s3:{name}": service for name, service in S3["services"].items() if "image" in service}, **SERVICES}
ROLES = ("api", "worker", "beat", "listen", "flower")
ENDING = {"secrets", "nginx-config"}  # done once, before the others start

VARIABLES = {name.upper() for name in Settings.model_fields}
SECRET = {
    name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
}  # each may be a file
OF_STORE = {"STORAGE", "AWS_BUCKET", "AWS_PREFIX", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "STORAGE_URL", "S3_SERVE"}
ELSEWHERE = {"AWS_SECRET_ACCESS_KEY"} | OF_STORE
OF_OTHERS = set(known_names(Settings.model_fields)) - VARIABLES  # umd-lib/mezcal's names, for example
READ = VARIABLES | OF_OTHERS | ELSEWHERE
OF_THE_FILES = {
    *("SECRETS_DIR", "MEZCAL_PORT", "FLOWER_PORT", "MEZCAL_VERSION", "COMPOSE_PROFILES"),
    *("WORKER_PROCESSES", "WORKER_CPUS", "WORKER_LIMIT"),
    *("PYTHON_IMAGE", "VALKEY_IMAGE", "NGINX_IMAGE", "MOTO_IMAGE"),
}
LEFT_OUT_OF_ENV = {"SENDFILE_HEADER"}
CONFIDENTIAL = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|requirepass", re.IGNORECASE)


def named_in_example() -> set[str]:
    return set(re.findall(r"^#?([A-Z_\d]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_a_command_of_the_image(role: str) -> None:
    service = SERVICES[role]
    words = [re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", word) for word in service["command"]]
    assert words[0] == role
    assert "entrypoint" not in service
    assert callable(parse(words).run)


def test_the_image_starts_all_of_mezcal_by_itself_and_asks_each_role_how_it_is() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    started = re.search(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert started is not None
    assert callable(parse(yaml.safe_load(started[1])).run)
    assert 'ENTRYPOINT ["mezcal"]' in dockerfile
    assert re.search(r'^HEALTHCHECK .* CMD \["mezcal", "healthy"\]$', dockerfile, re.MULTILINE)
    assert "ROLE_SIGN=" in dockerfile


@pytest.mark.parametrize("name", ALL)
def test_every_variable_of_a_service_is_read_by_somebody(name: str) -> None:
    assert set(ALL[name].get("environment", {})) <= READ
    for service in S3["services"].values():
        assert set(service.get("environment", {})) <= READ


@pytest.mark.parametrize("name", ALL)
def test_no_service_may_more_than_it_needs(name: str) -> None:
    service = ALL[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)


@pytest.mark.parametrize("name", ALL)
def test_every_service_tells_how_it_is_and_is_started_again(name: str) -> None:
    service = ALL[name]
    if name in ENDING:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]


@pytest.mark.parametrize("name", ROLES)
def test_a_role_starts_when_redis_answers(name: str) -> None:
    assert SERVICES[name]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert SERVICES[name]["env_file"] == [{"path": ".env", "required": False}]
    assert "container_name" not in SERVICES[name], "there may be several"
    assert SERVICES[name]["stop_grace_period"] == "40s", "more than DRAIN_SECONDS"


def test_only_nginx_is_published_to_the_world() -> None:
    published = {name: port for name, service in ALL.items() for port in service.get("ports", [])}
    assert published.pop("nginx") == "${MEZCAL_PORT:-5000}:8080"
    assert set(published) == {"flower"}
    assert all(port.startswith("127.0.0.1:") for port in published.values())
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["redis"]["networks"] == ["inside"]


@pytest.mark.parametrize("name", ALL)
def test_no_secret_stands_in_the_files(name: str) -> None:
    """Secrets come from a file or from .env, or are marked as for trying only."""
    for variable, value in ALL[name].get("environment", {}).items():
        if CONFIDENTIAL.search(variable):
            assert value in ("", None, "NONE") or value.startswith(("${", "/run/secrets/")), variable
    words = " ".join(ALL[name].get("command") or [])
    assert not re.search(r"(password|requirepass|auth)[ =](?!\$\$?[({])", words, re.IGNORECASE), words


def test_every_secret_that_is_asked_for_is_made() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"/run/secrets/(\w+/\w+)", text)) == set(TEMPLATES)


# The settings with secrets that each service needs. `.env` is handed to all of them that have an `env_file`.
OF_BROKER = {"REDIS_URL", "REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD"}
OF_STORE_AND_METRICS = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "METRICS_TOKEN"}
OF_ORIGINS = {"JWT_TOKEN", "JWT_SECRET", "REPO_PASSWORD", "ARCHIVE_TOKEN"}
OF_CLIENTS = {"API_TOKENS", "READ_TOKENS", "URL_SECRET", "WEBHOOK_LOGINS", "WEBHOOK_SECRETS", "WEBHOOK_TOKENS"}
OF_NOTICES = {"NOTICE_URL", "NOTICE_SECRET"}
OF_DOWNSTREAM = {"DOWNSTREAM_SECRET", "DOWNSTREAM_URLS"}
NEEDED = {
    "api": OF_BROKER | OF_STORE_AND_METRICS | OF_CLIENTS | OF_DOWNSTREAM,
    "worker": OF_BROKER | OF_STORE_AND_METRICS | OF_ORIGINS | OF_NOTICES | OF_DOWNSTREAM,
    "beat": OF_BROKER | OF_STORE_AND_METRICS | OF_ORIGINS | OF_NOTICES | OF_DOWNSTREAM,
    "listen": OF_BROKER | OF_STORE_AND_METRICS | {"LISTEN_URLS"},
    "flower": OF_BROKER | {"FLOWER_BASIC_AUTH"},
    "nginx-config": set(),
}
MOUNTED = {
    "secrets": {"redis", "api", "flower", "metrics"},
    "redis": {"redis"},
    "api": {"redis", "api", "metrics"},
    "worker": {"redis", "worker", "metrics"},
    "beat": {"redis", "worker", "metrics"},
    "listen": {"redis", "listen", "metrics"},
    "flower": {"redis", "flower"},
}


def test_each_secret_is_needed_by_a_role() -> None:
    assert set().union(*NEEDED.values()) == SECRET


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "env_file" in service])
def test_a_service_gets_no_secret_of_env_that_it_does_not_need(name: str) -> None:
    given = SERVICES[name]["environment"]
    for secret in SECRET - NEEDED[name]:
        assert given[secret] in ("", "${READ_TOKENS:+set}${READ_TOKENS_FILE:+set}"), secret
        assert given[f"{secret}_FILE"] == "", secret
    needed = {variable for secret in NEEDED[name] for variable in (secret, f"{secret}_FILE")}
    assert {variable for variable in needed if given.get(variable) == ""} <= {"REDIS_PASSWORD"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_mounts_the_secrets_that_it_needs(name: str) -> None:
    volumes = [volume.split(":") for volume in SERVICES[name].get("volumes", []) if "secrets" in volume]
    assert {volume[2] for volume in volumes} == {f"/run/secrets/{reader}" for reader in MOUNTED.get(name, ())}
    if name != "secrets":
        assert all(volume[3:] == ["ro"] for volume in volumes)


def test_each_image_of_others_is_named_once_in_a_variable_that_may_hold_its_digest() -> None:
    named = [
        service["image"]
        for service in ALL.values()
        if "image" in service and not service["image"].startswith("mezcal:")
    ]
    assert len(named) == len(set(named))
    assert all(re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[\w./-]+:[\w.-]+\}", image) for image in named), named
    dockerfile = (ROOT / "Dockerfile").read_text()
    python = re.search(r"^ARG PYTHON=(\S+)$", dockerfile, re.MULTILINE)
    assert python is not None
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON}"}
    for service in SERVICES.values():
        if "build" in service:
            assert service["build"]["args"]["PYTHON"] == f"${{PYTHON_IMAGE:-{python[1]}}}"
    in_cluster = re.findall(r"image: (valkey\S+)", (ROOT / "deploy/kubernetes/base/redis.yaml").read_text())
    assert SERVICES["redis"]["image"] == f"${{VALKEY_IMAGE:-{in_cluster[0]}}}"


def test_the_example_of_env_names_what_is_read() -> None:
    named = named_in_example()
    assert named <= READ | OF_THE_FILES
    assert named >= OF_THE_FILES


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.s3.yml"])
def test_the_composition_asks_for_no_variable_that_the_example_lacks(file: str) -> None:
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_\d]+)", (ROOT / file).read_text()))
    assert asked <= named_in_example() | OF_OTHERS


def test_volumes_and_networks_that_are_named_are_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = re.sub(r"^\$\{\w+:-(\w+)\}", r"\1", volume).split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), (name, volume)
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"])


def test_the_s3_file_adds_to_services_that_there_are() -> None:
    assert {name for name, service in S3["services"].items() if "image" not in service} <= set(SERVICES)


def test_the_image_is_sent_what_it_is_built_from() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {source for line in copied for source in line.split()} == allowed


def test_the_folder_of_the_samples_is_where_the_image_has_it() -> None:
    version = re.search(r"^ARG PYTHON=python:(\d+\.\d+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert version is not None
    folders = re.findall(
        r"/opt/mezcal/lib/python([\d.]+)/site-packages/(\S+?)[}\]]", (ROOT / "docker-compose.yml").read_text()
    )
    assert folders
    assert all(python == version[1] and (ROOT / folder).is_dir() for python, folder in folders)


def test_the_page_names_every_folder_of_secrets_dir() -> None:
    mounted = set(re.findall(r"\$\{SECRETS_DIR:-secrets\}-(\w+):", (ROOT / "docker-compose.yml").read_text()))
    assert mounted == set(re.findall(r"`\./secrets-(\w+)`", (ROOT / "docs/deployment.md").read_text()))
