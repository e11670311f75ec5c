"""REDIS_URL in all its forms, as redis-py and kombu get it."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from mezcal.errors import BrokerDown
from mezcal.jobs.transport.celery_pipe import celery_app
from mezcal.jobs.transport.redis_connection import Sentinels, broker, pool, shown
from mezcal.settings import Settings, load


def settings(url: str, **given: object) -> Settings:
    return load(_env_file=None, redis_url=url, **given)


@pytest.mark.parametrize(
    ("url", "hosts", "username", "password", "database"),
    [
        ("sentinel://a", (("a", 26379),), None, None, 0),
        ("sentinel://a;b:26380/2", (("a", 26379), ("b", 26380)), None, None, 2),
        ("sentinel://a,b/2", (("a", 26379), ("b", 26379)), None, None, 2),
        ("sentinel://u:p%40@a:1;sentinel://b:2/3", (("a", 1), ("b", 2)), "u", "p@", 3),
        ("sentinel://[::1]:5;b", (("::1", 5), ("b", 26379)), None, None, 0),
    ],
)
def test_sentinels_are_named_in_one_url(
    url: str, hosts: tuple[tuple[str, int], ...], username: str | None, password: str | None, database: int
) -> None:
    assert Sentinels.parse(url) == Sentinels(hosts, username, password, database)


@pytest.mark.parametrize("url", ["sentinel://", "sentinel:///0", "sentinel://a:port", "sentinel://a/x"])
def test_a_url_of_sentinels_that_says_nothing_is_refused(url: str) -> None:
    with pytest.raises(BrokerDown, match="REDIS_URL"):
        Sentinels.parse(url)


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BrokerDown, match="rediss://"):
        pool(settings("amqp://there"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://there/1", "redis://:s%2Fcret@there/1"),
        ("redis://user@there/1", "redis://user:s%2Fcret@there/1"),
        ("redis://:own@there/1", "redis://:own@there/1"),
        ("redis+socket:///run/r.sock", "redis+socket://:s%2Fcret@/run/r.sock"),
        ("sentinel://a;b/2", "sentinel://:s%2Fcret@a:26379/2;sentinel://:s%2Fcret@b:26379/2"),
    ],
)
def test_a_password_of_its_own_is_kombus_too(url: str, expected: str) -> None:
    assert broker(settings(url, redis_password=SecretStr("s/cret")))["broker_url"] == expected


def test_both_passwords_reach_their_servers() -> None:
    given = settings(
        "sentinel://a/0", redis_password="of-redis", redis_sentinel_password="of-sentinels", redis_master="images"
    )
    config = celery_app(given).conf
    assert config.broker_transport_options["master_name"] == "images"
    assert config.broker_transport_options["sentinel_kwargs"]["password"] == "of-sentinels"
    assert "of-redis" in config.broker_url
    assert pool(given).connection_kwargs["password"] == "of-redis"


def test_a_sentinel_that_is_gone_or_silent_is_not_waited_for() -> None:
    """By default, redis-py tries it for seconds, and waits for minutes, before it asks the next one."""
    given = settings("sentinel://a;b/0", redis_master="images")
    of_celery = celery_app(given).conf.broker_transport_options["sentinel_kwargs"]
    [of_jobs, _] = [each.get_connection_kwargs() for each in pool(given).sentinel_manager.sentinels]
    for options in (of_celery, of_jobs):
        assert options["retry"].get_retries() == 0
        assert options["socket_connect_timeout"] == options["socket_timeout"] == 1


def test_nothing_secret_is_shown() -> None:
    assert shown(settings("redis://user:pass@there:7/1?ssl=x")) == "redis://there:7/1"
    assert shown(settings("sentinel://user:pass@a;b/1")) == "sentinel://a:26379;b:26379 (mymaster)"


def test_both_clients_get_the_certificates(tmp_path: object) -> None:
    given = settings("rediss://there/0", redis_tls_ca="/ca.pem", redis_tls_cert="/c.pem", redis_tls_key="/k.pem")
    config = celery_app(given).conf.broker_use_ssl
    assert (config["ssl_ca_certs"], config["ssl_certfile"], config["ssl_keyfile"]) == ("/ca.pem", "/c.pem", "/k.pem")
    assert pool(given).connection_kwargs["ssl_ca_certs"] == "/ca.pem"
    assert not celery_app(settings("redis://there/0")).conf.broker_use_ssl
