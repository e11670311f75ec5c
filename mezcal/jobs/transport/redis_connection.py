"""Connection settings for Redis, for redis-py and for kombu (Celery's transport).

REDIS_URL is one of

    redis://[user:password@]host[:port]/[db]
    rediss://..                                    the same over TLS
    redis+socket://[:password@]/path               a Unix socket; redis-py calls it unix://
    sentinel://[user:password@]host[:port][;host[:port]..]/[db]
                                                   the sentinels that know REDIS_MASTER; user and password are the
                                                   master's

REDIS_PASSWORD and REDIS_SENTINEL_PASSWORD keep the passwords out of the URL. With REDIS_TLS_CA or REDIS_TLS_CERT the
sentinels and their master are reached over TLS, too.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from redis import BlockingConnectionPool, ConnectionPool, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from mezcal.errors import BrokerDown

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mezcal.settings import Settings

SENTINEL = "sentinel://"
SENTINEL_PORT = 26379
SENTINEL_SECONDS = 1.0  # for each of: to connect, to answer
NO_PORT = "REDIS_URL cannot be read: it must be like redis://:PASSWORD@HOST:6379/0, with the password percent-encoded"
SCHEMES = ("redis://", "rediss://", "redis+socket://", "unix://", SENTINEL)


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the master that sentinels name; a thread waits for a free one."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The parts of a sentinel:// URL."""

    hosts: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None
    database: int

    @classmethod
    def parse(cls, url: str) -> Sentinels:
        """Parse *url*; the scheme may be repeated, as kombu does. Raises `BrokerDown` if it names no sentinel."""
        netloc, _, database = url.replace(SENTINEL, "").replace(",", ";").partition("/")
        entry, _, hosts = netloc.rpartition("@")
        username, _, password = entry.partition(":")
        try:
            found = tuple(map(_address, filter(None, hosts.split(";"))))
            number = int(database.partition(";")[0] or 0)
        except ValueError as error:
            raise BrokerDown(f"REDIS_URL cannot be read: {error}") from error
        if not all(host for host, _ in found or [("", 0)]):
            raise BrokerDown("REDIS_URL names no sentinel")
        return cls(found, unquote(username) or None, unquote(password) or None, number)


def _address(text: str) -> tuple[str, int]:
    address = urlsplit(f"//{text}")
    return address.hostname or "", address.port or SENTINEL_PORT


def redis_url(settings: Settings) -> str:
    """Return REDIS_URL. Raises `BrokerDown` if it is not set, or if it cannot be read."""
    if settings.redis_url is None:
        raise BrokerDown("REDIS_URL is not set: name a Redis, or start everything with `mezcal up`")
    url = settings.redis_url.get_secret_value()
    if not url.startswith(SCHEMES):
        parts = urlsplit(url)
        shown = f"{parts.scheme}://{parts.hostname or ''}"  # without a password
        raise BrokerDown(f"REDIS_URL begins with {shown}; it must begin with one of {', '.join(SCHEMES)}")
    if not url.startswith(SENTINEL) and not _has_valid_port(url):
        raise BrokerDown(NO_PORT)
    return url


def _has_valid_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def shown(settings: Settings) -> str:
    """Return REDIS_URL for logs: without user, password and options."""
    url = redis_url(settings)
    if url.startswith(SENTINEL):
        named = ";".join(f"{host}:{port}" for host, port in Sentinels.parse(url).hosts)
        return f"{SENTINEL}{named} ({settings.redis_master})"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


# --- redis-py


def pool(settings: Settings, **options: Any) -> ConnectionPool:
    """Return a pool of connections to the master with these *options* of redis-py. It connects when first used."""
    url = redis_url(settings)
    secured = tls(settings)
    if not url.startswith(SENTINEL):
        if url.startswith("redis+socket://"):
            url = "unix://" + url.removeprefix("redis+socket://").replace("virtual_host=", "db=")
        local = url.startswith("unix://")
        options |= {} if local else {"socket_keepalive": True}
        return BlockingConnectionPool.from_url(url, password=_text(settings.redis_password), **options, **secured)
    parsed = Sentinels.parse(url)
    transport = {"ssl": True, **secured} if secured else {}
    sentinels = Sentinel(parsed.hosts, sentinel_kwargs={**_of_sentinels(settings), **transport})
    return SentinelPool(
        settings.redis_master,
        sentinels,
        username=parsed.username,
        password=parsed.password or _text(settings.redis_password),
        db=parsed.database,
        socket_keepalive=True,
        **options,
        **transport,
    )


def tls(settings: Settings) -> dict[str, Any]:
    """Return the TLS options of redis-py and kombu, empty without TLS."""
    named = {
        "ssl_ca_certs": settings.redis_tls_ca,
        "ssl_certfile": settings.redis_tls_cert,
        "ssl_keyfile": settings.redis_tls_key,
    }
    given = {name: str(path) for name, path in named.items() if path is not None}
    url = redis_url(settings)
    if not url.startswith("rediss://") and not (given and url.startswith(SENTINEL)):
        return {}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **given}


# --- kombu


def broker(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings for the same server."""
    url, options = redis_url(settings).replace("unix://", "redis+socket://", 1), {}
    if url.startswith(SENTINEL):
        parsed = Sentinels.parse(url)
        entry = _entry(parsed.username, parsed.password or _text(settings.redis_password))
        url = ";".join(f"{SENTINEL}{entry}{_named(host)}:{port}/{parsed.database}" for host, port in parsed.hosts)
        transport = {"ssl": True, **tls(settings)} if tls(settings) else {}
        options = {"master_name": settings.redis_master, "sentinel_kwargs": {**_of_sentinels(settings), **transport}}
    elif settings.redis_password is not None:
        url = with_password(url, settings.redis_password.get_secret_value())
    return {"broker_url": url, "broker_transport_options": options, "broker_use_ssl": tls(settings) or None}


def with_password(url: str, password: str) -> str:
    """Return *url* with *password*, unless it has one."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    entry, _, host = place.rpartition("@")
    username, _, own = entry.partition(":")
    return url if own else f"{scheme}://{username}:{quote(password, safe='')}@{host}{slash}{path}"


def _entry(username: str | None, password: str | None) -> str:
    if not (username or password):
        return ""
    return f"{quote(username or '', safe='')}:{quote(password or '', safe='')}@"


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _of_sentinels(settings: Settings) -> dict[str, Any]:
    """Return the options of redis-py's clients of sentinels.

    Without them, one that is gone is tried for seconds, and one that is silent for minutes, for each new connection
    before the others are asked: a worker needs several, one after the other.
    """
    waits = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
    password = _text(settings.redis_sentinel_password)
    return {**waits, "retry": Retry(NoBackoff(), 0), **({"password": password} if password else {})}


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
