"""Each check of `mezcal check` against real parts, in order and with a fault."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import pytest

from mezcal.checks import Check, CheckFailed, Severity, local_machine, origins
from mezcal.checks.broker import broker_check, thorough_broker_check, workers_check
from mezcal.checks.local_machine import codecs_check, nginx_check, overcommit_check, secrets_check
from mezcal.checks.origins import archive_check, origin_checks
from mezcal.checks.store import scratch_check, store_check, thorough_store_check
from mezcal.errors import OriginFailed, OriginRedirectRefused
from mezcal.jobs import BrokerProbe, Worker, WorkerRegistry
from mezcal.jobs.state.keys import Keys
from mezcal.runtime import nginx
from mezcal.settings import Layout, load
from mezcal.store import open_store
from mezcal.store.local.store import LocalStore
from mezcal.store.origin_note import OriginNote
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.broker import Broker

NOBODY = 65534


@pytest.fixture
def repository() -> Iterator[OriginServer]:
    """A real repository."""
    with OriginServer() as running:
        yield running


def check_origin(server: OriginServer, **given: Any) -> tuple[str, str]:
    """Returns the finding of the origin check: its level, and its detail with the hint."""
    finding = origin_checks(load(_env_file=None, repo_base_url=server.url, **given))[0].run()
    return finding.level, f"{finding.detail} -> {finding.hint}"


@pytest.mark.parametrize(
    ("script", "given", "level", "expected"),
    [
        ({"fails": -1, "status": 401}, {}, "failed", "answers 401 -> set AUTH_TYPE"),
        (
            {"fails": -1, "status": 403},
            {"jwt_token": "t"},
            "failed",
            "403 -> check the credential that AUTH_TYPE=JWT_TOKEN",
        ),
        ({"fails": -1, "status": 503}, {}, "failed", "answers 503"),
        ({"fails": -1, "status": 404}, {}, "ok", "to be sure, name a master: mezcal check PATH"),
        ({"body": b""}, {"jwt_token": "t"}, "ok", "the credential is accepted"),
        ({"redirect": "http://127.0.0.1:1/"}, {}, "failed", "neither its own nor in ORIGIN_REDIRECT_HOSTS"),
        ({"silent": 1}, {}, "failed", "cannot be reached"),
        ({}, {"auth_type": "JWT_SECRET"}, "failed", "-> set JWT_SECRET, or name a file that has it by JWT_SECRET_FILE"),
    ],
)
def test_the_repository_is_asked_with_its_credential(
    repository: OriginServer, script: dict[str, Any], given: dict[str, str], level: str, expected: str
) -> None:
    repository.script("", **script)
    found, text = check_origin(repository, **given)
    assert (found, expected in text) == (level, True), text
    if "jwt_token" in given:
        assert {request.headers["authorization"] for request in repository.seen("")} == {"Bearer t"}


@pytest.mark.parametrize(("left", "level"), [(-60, "failed"), (3600, "warning"), (7 * 86_400, "ok")])
def test_a_token_that_expires_soon_is_reported(repository: OriginServer, left: int, level: str) -> None:
    repository.script("", body=b"")
    token = jwt.encode({"exp": int(time.time()) + left}, "k" * 32, "HS256")
    assert check_origin(repository, jwt_token=token)[0] == level


def test_a_clock_that_differs_from_the_repositorys_is_a_warning() -> None:
    with pytest.raises(CheckFailed, match="ahead of the repository's") as warned:
        origins._check_clock({"Date": "Thu, 01 Jan 2015 00:00:00 GMT"})
    assert warned.value.level is Severity.WARNING
    for nothing in ({}, {"Date": "soon"}):
        origins._check_clock(nothing)


def test_the_archive_is_asked_without_a_credential(repository: OriginServer) -> None:
    settings = load(_env_file=None, archive_api_url=repository.url, archive_token="Token 1", jwt_token="t")
    assert archive_check(settings).run().level is Severity.OK
    assert "authorization" not in repository.seen()[0].headers
    repository.script("", fails=-1, status=502)
    assert archive_check(settings).run().level is Severity.FAILED


def test_a_broker_that_may_evict_jobs_is_refused(broker: Broker) -> None:
    with broker.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            for check in (broker_check(BrokerProbe(client)), thorough_broker_check(BrokerProbe(client))):
                finding = check.run()
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
                assert thorough_broker_check(BrokerProbe(client)).run().level is Severity.WARNING
            finally:
                client.config_set(name, right)
        finding = thorough_broker_check(BrokerProbe(client)).run()
        assert (finding.level, "append-only" in finding.detail) == (Severity.OK, True)


def test_workers_that_stop_reporting_are_a_warning(broker: Broker) -> None:
    with broker.client() as client:
        keys = Keys(f"{uuid4().hex}:")
        registry = WorkerRegistry(client, keys)
        finding = workers_check(registry).run()
        assert (finding.level, "start a worker" in finding.hint) == (Severity.WARNING, True)
        registry.heartbeat(Worker("one@host", 2, ("interactive", "bulk")))
        assert workers_check(registry).run().detail == "1 with 2 processes: one@host"
        silent = json.dumps({"name": "two@host", "processes": 1, "queues": []})
        client.zadd(keys.workers, {silent: client.time()[0] - 60})
        finding = workers_check(registry).run()
        assert (finding.level, "not reporting: two@host" in finding.detail) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    ("content", "mode", "level", "expected"),
    [
        ("secret\n", 0o600, "ok", "JWT_SECRET from files"),
        ("secret\n", 0o644, "warning", "all users may read -> chmod o="),
    ],
)
def test_the_files_of_secrets_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, mode: int, level: str, expected: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    file.chmod(mode)
    monkeypatch.setenv("JWT_SECRET_FILE", str(file))
    finding = secrets_check().run()
    assert finding.level == level
    assert expected in f"{finding.detail} -> {finding.hint}"


def test_the_files_of_secrets_that_env_names_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("READ_TOKENS_FILE=tokens\n")
    (tmp_path / "tokens").write_text("one")
    (tmp_path / "tokens").chmod(0o600)
    assert secrets_check().run().detail == "READ_TOKENS from files"
    monkeypatch.setenv("READ_TOKENS", "two")
    assert secrets_check().run().detail == "none come from files", "the environment overrides .env"


@pytest.mark.parametrize(
    ("field", "modes", "expected"),
    [
        ('password = "one"', (0o600, 0o600), "those of ORIGINS_FILE from files"),
        ('password = "one"', (0o644, 0o600), "ORIGINS_FILE names {}/origins.toml, which has a secret"),
        ('password_file = "{}/secret"', (0o644, 0o600), "those of ORIGINS_FILE from files"),
        ('password_file = "{}/secret"', (0o644, 0o644), "ORIGINS_FILE, [maps]: password_file names {}/secret, which"),
    ],
)
def test_the_files_with_secrets_of_origins_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, modes: tuple[int, int], expected: str
) -> None:
    origins_file, secret = tmp_path / "origins.toml", tmp_path / "secret"
    origins_file.write_text(f'[maps]\nurl = "https://maps/"\nusername = "u"\n{field.format(tmp_path)}\n')
    secret.write_text("one")
    for file, mode in zip((origins_file, secret), modes, strict=True):
        file.chmod(mode)
    monkeypatch.setenv("ORIGINS_FILE", str(origins_file))
    finding = secrets_check().run()
    level = "warning" if "names" in expected else "ok"
    assert (finding.level, expected.format(tmp_path) in finding.detail) == (level, True)


def test_a_secret_that_is_set_twice_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("secret")
    monkeypatch.setenv("JWT_SECRET_FILE", str(file))
    monkeypatch.setenv("JWT_SECRET", "another")
    assert secrets_check().run().level is Severity.WARNING


def test_the_hint_fits_the_kind_of_store(tmp_path: Path) -> None:
    settings = load(_env_file=None, storage_dir=tmp_path)
    in_bucket = load(_env_file=None, storage_dir=tmp_path, aws_bucket="b", aws_default_region="r")
    folder, bucket = (
        store_check(store, OriginNote(given, store))
        for given, store in ((each, open_store(each)) for each in (settings, in_bucket))
    )
    assert "STORAGE_DIR" in folder.hint
    assert "AWS_BUCKET" in bucket.hint


def test_a_certificate_that_is_not_trusted_is_told_from_a_wrong_address() -> None:
    assert "REQUESTS_CA_BUNDLE" in origins._unreachable_hint(OriginFailed("it is not over a trusted TLS connection"))
    assert "ORIGIN_REDIRECT_HOSTS" in origins._unreachable_hint(OriginRedirectRefused("to another host"))
    assert origins._unreachable_hint(OriginFailed("cannot be reached")) == ""


def test_a_store_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load(_env_file=None, storage_dir=tmp_path / "file" / "cache")
    store = open_store(settings)
    note = OriginNote(settings, store)
    for check in (store_check(store, note), thorough_store_check(store, note)):
        assert check.run().level is Severity.FAILED
    assert scratch_check(settings).run().level is Severity.FAILED


def test_checking_the_store_leaves_no_file_behind(tmp_path: Path) -> None:
    settings = load(_env_file=None, storage_dir=tmp_path)
    store = open_store(settings)
    assert thorough_store_check(store, OriginNote(settings, store)).run().level is Severity.OK
    assert scratch_check(settings).run().level is Severity.OK
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.fixture
def old_cache() -> Iterator[Path]:
    """A cache that this user may write, outside the folder of the test, which other users may not enter."""
    with TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for folder in ("books/1", "lost+found", ".snapshot"):
            (root / folder).mkdir(parents=True)
        if os.geteuid() == 0:
            for folder in ("", "books", "books/1"):
                os.chown(root / folder, NOBODY, NOBODY)
        (root / "lost+found").chmod(0o500)
        (root / ".snapshot").chmod(0o500)
        yield root


@contextmanager
def not_as_root() -> Iterator[None]:
    """Root may write everywhere: become the user `nobody` for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("closed", "levels"),
    [
        (None, (Severity.OK, Severity.OK)),
        ("", (Severity.FAILED, Severity.FAILED)),
        ("books", (Severity.FAILED, Severity.FAILED)),
        ("books/1", (Severity.OK, Severity.FAILED)),
    ],
)
def test_folders_of_another_user_are_reported_with_the_command_that_mends_them(
    old_cache: Path, closed: str | None, levels: tuple[Severity, Severity]
) -> None:
    if closed is not None:
        (old_cache / closed).chmod(0o555)
    store = LocalStore(old_cache, Layout.BASIC)
    note = OriginNote(load(_env_file=None), store)
    with not_as_root():
        findings = [check.run() for check in (store_check(store, note), thorough_store_check(store, note))]
        command = f"chown -R {os.geteuid()}:{os.getegid()} "
    assert tuple(finding.level for finding in findings) == levels
    assert all(command in finding.detail for finding in findings if finding.level is Severity.FAILED)


def test_the_decoders_of_this_installation_are_there() -> None:
    finding = codecs_check().run()
    assert (finding.level, "libvips" in finding.detail) == (Severity.OK, True), finding.detail


def test_a_machine_without_nginx_gets_a_warning_and_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "PLACES", ())
    monkeypatch.setattr(nginx, "find_spec", lambda _name: None)
    finding = nginx_check(load(_env_file=None)).run()
    assert (finding.level, "mezcal[nginx]" in finding.hint) == (Severity.WARNING, True)
    behind = nginx_check(load(_env_file=None, sendfile_header="X-Accel-Redirect")).run()
    assert (behind.level, "X-Accel-Redirect" in behind.detail) == (Severity.OK, True)


def test_the_hint_of_a_failure_replaces_that_of_the_check() -> None:
    def test() -> str:
        raise CheckFailed("it is wrong", "mend it", Severity.WARNING)

    finding = Check("part", test, "a general hint").run()
    assert (finding.level, finding.detail, finding.hint) == (Severity.WARNING, "it is wrong", "mend it")


def test_a_check_that_breaks_is_a_finding_like_any_other() -> None:
    def test() -> str:
        raise KeyError("unexpected")

    finding = Check("part", test, "a general hint").run()
    assert (finding.level, finding.hint) == (Severity.FAILED, "a general hint")


@pytest.mark.parametrize(("mode", "level", "advice"), [("0", "ok", "to 1"), ("1", "ok", ""), ("2", "warning", "")])
def test_the_kernels_rule_for_forks_is_said_in_words(
    mode: str, level: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "overcommit_memory").write_text(f"{mode}\n")
    monkeypatch.setattr(local_machine, "OVERCOMMIT", tmp_path / "overcommit_memory")
    finding = overcommit_check().run()
    assert finding.level == level
    assert f"vm.overcommit_memory is {mode}" in finding.detail
    assert advice in finding.detail
