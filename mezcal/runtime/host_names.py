"""The names by which clients reach mezcal: those of this machine, and those that the settings allow.

A page of another site can have its host name point to this machine (DNS rebinding). Its browser then sends that name.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mezcal.settings import Settings

HOST = re.compile(r"(\[(?P<address>[^\]]*)\]|(?P<name>[^:]*))(:\d*)?")
ANY = "*"  # in ALLOWED_HOSTS


@lru_cache(1024)
def host_name(host: str) -> str:
    """Return the name in *host*, a `Host` header: without port, brackets and final dot, in lower case."""
    name = host.strip().lower()
    match = HOST.fullmatch(name)
    return (match["address"] or match["name"] or "").removesuffix(".") if match else name


@lru_cache(1024)
def is_own_name(name: str) -> bool:
    """Return True if *name* is one of this machine itself, which no other site can have."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def allowed_names(settings: Settings) -> frozenset[str] | None:
    """Return the names that clients may use in addition to this machine's own. None if they may use any."""
    if not settings.allowed_hosts or ANY in settings.allowed_hosts:
        return None
    names = {host_name(f"[{name}]" if name.count(":") > 1 else name) for name in settings.allowed_hosts}
    return frozenset(names | public_names(settings))


class AllowedHosts:
    """The names that clients may send as `Host`."""

    def __init__(self, settings: Settings) -> None:
        self._names = allowed_names(settings)
        self._any_is_known = bool(settings.allowed_hosts) and self._names is None

    def allow(self, host: str | None) -> bool:
        """Return True if a request with this `Host` may be answered. Clients without one are no browsers."""
        return self._names is None or host is None or self._is_listed(host)

    def know(self, host: str | None) -> bool:
        """Return True if URLs that mezcal writes may contain this `Host`."""
        return host is not None and (self._any_is_known or self._is_listed(host))

    def _is_listed(self, host: str) -> bool:
        name = host_name(host)
        return is_own_name(name) or name in (self._names or ())


def public_names(settings: Settings) -> set[str]:
    """Return the name in PUBLIC_URL, as clients send it."""
    name = urlsplit(settings.public_url or "").hostname or ""
    try:
        return {name.encode("idna").decode().removesuffix(".")} - {""}
    except UnicodeError:
        return set()


def only_own_names(settings: Settings, host: str) -> Settings:
    """Return *settings* for a server that listens at *host*, on loopback only: it takes no names of other sites."""
    return settings if settings.allowed_hosts else settings.model_copy(update={"allowed_hosts": (host,)})
