"""What is said of a broker that cannot be reached, and of one that mezcal can never work with."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from redis import Redis, RedisError

from mezcal.errors import BrokerDown
from mezcal.jobs.transport.celery_pipe import connect
from mezcal.jobs.transport.connection_faults import describe
from mezcal.jobs.transport.probe import BrokerProbe
from mezcal.settings import load
from tests.support.commands import as_process, in_fork
from tests.support.roles import bare_environment, free_port, server
from tests.support.tls_front import Certificates, certificates, tls_front
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "of-the-test"


@contextmanager
def redis_server(folder: Path, *words: str) -> Iterator[int]:
    """A server with these options. Yields its port."""
    port = free_port()
    with server(folder, port, *words):
        with Redis(port=port) as client:
            until(lambda: answers(client), what="the server")
        yield port


def answers(client: Redis) -> bool:
    try:
        client.ping()
    except RedisError as error:
        return "HELLO" in str(error)  # it wants a password
    return True


def fault_at(port: int, scheme: str = "rediss", host: str = "127.0.0.1", **given: object) -> str:
    """What `mezcal check` says with these settings."""
    url = f"{scheme}://{host}:{port}/0"
    redis = connect(load(_env_file=None, repo_base_url="file:///", redis_url=url, **given), 0.5)
    with redis, pytest.raises(BrokerDown) as down:
        BrokerProbe(redis).check_usable()
    assert down.value.hint
    return down.value.detail


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("plain"), "--requirepass", PASSWORD) as port:
        yield port


def test_each_fault_of_tls_has_its_own_words(plain: int, made: Certificates, tmp_path: Path) -> None:
    ca = {"redis_tls_ca": made.ca, "redis_password": PASSWORD}
    old = expired(made)
    with ExitStack() as stack:
        fronts = [stack.enter_context(tls_front(each, plain, ask_clients=asks)) for each, asks in pairs(made, old)]
        tls, asking, outdated = fronts
        assert fault_at(asking, **ca).endswith(("gets none", "without an answer")), "the alert may be lost"
        found = [
            fault_at(tls, redis_password=PASSWORD),
            fault_at(tls, "redis"),
            fault_at(plain, **ca),
            fault_at(tls, host="127.1", **ca),
            fault_at(outdated, **ca),
        ]
    words = ["authority that is not known", "without an answer", "does not speak TLS", "another name", "has expired"]
    assert [word in detail for word, detail in zip(words, found, strict=True)] == [True] * 5, found


def pairs(made: Certificates, old: Certificates) -> list[tuple[Certificates, bool]]:
    return [(made, False), (made, True), (old, False)]


def expired(made: Certificates) -> Certificates:
    """The same, but that the server's certificate is no longer valid."""
    folder = made.folder.with_name("expired")
    subprocess.run(["cp", "-r", made.folder, folder], check=True)
    request = ("openssl", "x509", "-req", "-in", "server.csr", "-extfile", "server.ext", "-out", "server.pem")
    signer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "-1")
    subprocess.run([*request, *signer], cwd=folder, check=True, capture_output=True)
    return Certificates(folder)


def test_down_nameless_and_refused_have_their_own_words(plain: int, tmp_path: Path) -> None:
    assert "is down" in fault_at(free_port(), "redis")
    assert "name cannot be found" in fault_at(6379, "redis", "no-such-host.invalid")
    assert "wants a password" in fault_at(plain, "redis")
    wrong = fault_at(plain, "redis", redis_password="not-it")
    assert "refuses the user or the password" in wrong
    assert "not-it" not in wrong


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--cluster-enabled", "yes"), "Redis Cluster"),
        (("--replicaof", "127.0.0.1 1"), "replica"),
        (("--rename-command", "EVALSHA", ""), "too old, or a proxy"),
        (("--maxmemory-policy", "allkeys-lru"), "allkeys-lru"),
    ],
)
def test_a_broker_that_cannot_work_is_named(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    with redis_server(tmp_path, *words) as port:
        assert named in fault_at(port, "redis")


def test_an_old_server_is_named(monkeypatch: pytest.MonkeyPatch, plain: int) -> None:
    with Redis(port=plain, password=PASSWORD) as redis:
        monkeypatch.setattr(redis, "info", lambda: {"redis_version": "6.0.16"})
        with pytest.raises(BrokerDown, match=r"Redis 6\.0\.16, which is too old"):
            BrokerProbe(redis).check_usable()


def test_every_role_refuses_a_cluster_in_one_line_and_says_what_else_is_wrong(tmp_path: Path) -> None:
    env = bare_environment() | {"REPO_BASE_URL": tmp_path.as_uri(), "DATA_DIR": str(tmp_path / "data")}
    with redis_server(tmp_path / "cluster", "--cluster-enabled", "yes") as port:
        env["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        roles = ["beat", "api", "flower", "up --port 0"]
        ends = [as_process(["worker", "--concurrency", "2"], env, tmp_path)]
        ends += [in_fork(role.split(), env, tmp_path) for role in roles]
    for ended in ends:
        assert ended.returncode == 2, ended
        assert ended.stderr.count("\n") == 1, ended
        assert "Redis Cluster" in ended.stderr


def test_a_role_says_why_it_starts_without_its_broker(tmp_path: Path, plain: int) -> None:
    env = bare_environment() | {"REPO_BASE_URL": tmp_path.as_uri(), "STARTING_ROLE": "1"}
    env["REDIS_URL"] = f"redis://127.0.0.1:{plain}/0"
    probe = [sys.executable, "-P", "-m", "mezcal.runtime.up.ping_broker"]
    tried = subprocess.run(probe, env=env, capture_output=True, text=True, check=False)
    assert (tried.returncode, tried.stdout) == (0, "")
    assert "wants a password" in tried.stderr
    del env["STARTING_ROLE"]
    tried = subprocess.run(probe, env=env, capture_output=True, text=True, check=False)
    assert (tried.returncode, "set REDIS_PASSWORD" in tried.stdout) == (1, True)


def test_an_unknown_error_is_named_by_its_text() -> None:
    assert describe(RedisError("the\nserver is odd")).detail == "RedisError: the server is odd"
