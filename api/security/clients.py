"""Tells clients apart: the address of the client of a request, also behind proxies.

Every limit by client uses `current_client`.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from flask import request

from api.context import context

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from mezcal.settings import Settings

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

IPV6_NETWORK = 64  # bits: a client of IPv6 can use all addresses that begin with them
LOCAL_PROXY = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
UNKNOWN = ""  # the one client of all requests without an address, as over a unix socket without a proxy


def current_client() -> str:
    """Return the client of this request, as `client_of` does."""
    return client_of(request.environ, context().settings)


def client_of(environ: WSGIEnvironment, settings: Settings) -> str:
    """Return the client of a request: an IPv4 address, or the /64 network of an IPv6 address, as text.

    A server that connects to the API from this machine, or is known by SENDFILE_HEADER or TRUSTED_PROXIES, is a proxy
    if it sends X-Forwarded-For. Then the client is the last address there that is not itself such a proxy's: all
    addresses before it may be invented.
    """
    address = _parse(environ.get("REMOTE_ADDR", ""))
    if not (_is_own_proxy(address, settings) or _is_trusted(address, settings)):
        return _name(address)
    for forwarded in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        named = _parse(forwarded)
        if named is None:  # the proxy did not know
            break
        address = named
        if not _is_trusted(address, settings):
            break
    return _name(address)


def _is_own_proxy(peer: Address | None, settings: Settings) -> bool:
    """Return True if the peer is this machine, or all requests come through the server that sends the files."""
    return peer is None or peer.is_loopback or settings.sendfile_header is not None


def _is_trusted(address: Address | None, settings: Settings) -> bool:
    """Return True for TRUSTED_PROXIES, and for a proxy on this machine before nginx."""
    return address in LOCAL_PROXY or any(
        address in network for network in settings.trusted_proxies if address is not None
    )


def _parse(text: str) -> Address | None:
    """Return the address in *text*, with or without a port or a zone; None if there is none."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if address.version == 6 else None) or address


def _name(address: Address | None) -> str:
    if address is None:
        return UNKNOWN
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address.packed, IPV6_NETWORK), strict=False))
