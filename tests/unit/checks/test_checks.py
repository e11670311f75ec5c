"""Each check of `mezcal check` against real parts that are well, and that are not."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import pytest

from mezcal.checks import Check, CheckFailed, Severity, essentials, local_machine, origins
from mezcal.jobs import BrokerProbe, Worker, WorkerRegistry
from mezcal.jobs.state.keys import Keys
from mezcal.settings import load
from mezcal.store import open_store
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.broker import Broker


@pytest.fixture
def elsewhere() -> Iterator[OriginServer]:
    """A real repository."""
    with OriginServer() as running:
        yield running


def asked(of: OriginServer, **given: Any) -> tuple[str, str]:
    """What the check of the origin finds: its level, and what it tells with its hint."""
    finding = origins.origin(load(_env_file=None, repo_base_url=of.url, **given)).finding()
    return finding.level, f"{finding.detail} -> {finding.hint}"


@pytest.mark.parametrize(
    ("script", "given", "level", "said"),
    [
        ({"fails": -1, "status": 401}, {}, "failed", "answers 401 -> set AUTH_TYPE"),
        ({"fails": -1, "status": 403}, {"jwt_token": "t"}, "failed", "answers 403 -> see to what AUTH_TYPE=JWT_TOKEN"),
        ({"fails": -1, "status": 503}, {}, "failed", "answers 503"),
        ({"fails": -1, "status": 404}, {}, "ok", "name a master to be sure: mezcal check PATH"),
        ({"body": b""}, {"jwt_token": "t"}, "ok", "the credential is not refused"),
        ({"redirect": "http://127.0.0.1:1/"}, {}, "failed", "neither its own nor in ORIGIN_REDIRECT_HOSTS"),
        ({"silent": 1}, {}, "failed", "cannot be reached"),
    ],
)
def test_the_repository_is_asked_with_its_credential(
    elsewhere: OriginServer, script: dict[str, Any], given: dict[str, str], level: str, said: str
) -> None:
    elsewhere.script("", **script)
    found, told = asked(elsewhere, **given)
    assert (found, said in told) == (level, True), told
    if "jwt_token" in given:
        assert {request.headers["authorization"] for request in elsewhere.seen("")} == {"Bearer t"}


@pytest.mark.parametrize(("left", "level"), [(-60, "failed"), (3600, "warning"), (7 * 86_400, "ok")])
def test_a_token_that_ends_soon_is_told(elsewhere: OriginServer, left: int, level: str) -> None:
    elsewhere.script("", body=b"")
    token = jwt.encode({"exp": int(time.time()) + left}, "k" * 32, "HS256")
    assert asked(elsewhere, jwt_token=token)[0] == level


def test_a_clock_that_differs_from_the_repositorys_is_a_warning() -> None:
    with pytest.raises(CheckFailed, match="ahead of the repository's") as told:
        origins._check_clock({"Date": "Thu, 01 Jan 2015 00:00:00 GMT"})
    assert told.value.level is Severity.WARNING
    for nothing in ({}, {"Date": "soon"}):
        origins._check_clock(nothing)


def test_the_archive_is_asked_without_a_credential(elsewhere: OriginServer) -> None:
    settings = load(_env_file=None, archive_api_url=elsewhere.url, archive_token="Token 1", jwt_token="t")
    assert origins.archive(settings).finding().level is Severity.OK
    assert "authorization" not in elsewhere.seen()[0].headers
    elsewhere.script("", fails=-1, status=502)
    assert origins.archive(settings).finding().level is Severity.FAILED


def test_a_broker_that_may_evict_jobs_is_refused(broker: Broker) -> None:
    with broker.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            for check in (essentials.broker(BrokerProbe(client)), essentials.thorough_broker(BrokerProbe(client))):
                finding = check.finding()
                assert finding.level is Severity.FAILED
                assert "maxmemory-policy is allkeys-lru" in finding.detail
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_a_broker_that_forgets_or_is_nearly_full_is_a_warning(broker: Broker) -> None:
    with broker.client() as client:
        little = str(int(client.info("memory")["used_memory"] * 1.05))
        for name, wrong, right in (("appendonly", "no", "yes"), ("maxmemory", little, "0")):
            client.config_set(name, wrong)
            try:
                assert essentials.thorough_broker(BrokerProbe(client)).finding().level is Severity.WARNING
            finally:
                client.config_set(name, right)
        finding = essentials.thorough_broker(BrokerProbe(client)).finding()
        assert (finding.level, "append-only" in finding.detail) == (Severity.OK, True)


def test_workers_are_those_that_say_they_are_there(broker: Broker) -> None:
    with broker.client() as client:
        keys = Keys(f"{uuid4().hex}:")
        registry = WorkerRegistry(client, keys)
        finding = local_machine.workers(registry).finding()
        assert (finding.level, "start a worker" in finding.hint) == (Severity.WARNING, True)
        registry.heartbeat(Worker("one@host", 2, ("interactive", "bulk")))
        assert local_machine.workers(registry).finding().detail == "1 with 2 processes: one@host"
        silent = json.dumps({"name": "two@host", "processes": 1, "queues": []})
        client.zadd(keys.workers, {silent: client.time()[0] - 60})
        finding = local_machine.workers(registry).finding()
        assert (finding.level, "silent: two@host" in finding.detail) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    ("content", "mode", "level", "said"),
    [
        ("secret\n", 0o600, "ok", "JWT_SECRET from files"),
        ("secret\n", 0o644, "warning", "everybody may read -> chmod o="),
        ("\n", 0o600, "failed", "which is empty"),
    ],
)
def test_secrets_files_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, mode: int, level: str, said: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    file.chmod(mode)
    monkeypatch.setenv("JWT_SECRET_FILE", str(file))
    finding = local_machine.secrets().finding()
    assert finding.level == level
    assert said in f"{finding.detail} -> {finding.hint}"


def test_a_secret_that_is_set_twice_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("secret")
    monkeypatch.setenv("JWT_SECRET_FILE", str(file))
    monkeypatch.setenv("JWT_SECRET", "another")
    assert local_machine.secrets().finding().level is Severity.WARNING


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load(_env_file=None, storage_dir=tmp_path / "file" / "cache")
    for check in (essentials.store(open_store(settings)), essentials.thorough_store(open_store(settings))):
        assert check.finding().level is Severity.FAILED
    assert local_machine.scratch(settings).finding().level is Severity.FAILED


def test_a_look_at_the_store_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = load(_env_file=None, storage_dir=tmp_path)
    assert essentials.thorough_store(open_store(settings)).finding().level is Severity.OK
    assert local_machine.scratch(settings).finding().level is Severity.OK
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_decoders_of_this_installation_are_there() -> None:
    finding = local_machine.codecs().finding()
    assert (finding.level, "libvips" in finding.detail) == (Severity.OK, True), finding.detail


def test_the_hint_is_that_of_what_was_found() -> None:
    def look() -> str:
        raise CheckFailed("it is wrong", "mend it", Severity.WARNING)

    finding = Check("part", look, "a general hint").finding()
    assert (finding.level, finding.detail, finding.hint) == (Severity.WARNING, "it is wrong", "mend it")


def test_a_check_that_breaks_is_a_finding_like_any_other() -> None:
    def look() -> str:
        raise KeyError("nobody thought of this")

    finding = Check("part", look, "a general hint").finding()
    assert (finding.level, finding.hint) == (Severity.FAILED, "a general hint")
