"""Which client, and which of several origins, a request that waits counts for."""

from __future__ import annotations

import ipaddress

from api.context import context
from api.security.auth import is_operator, read_token_digest
from api.security.clients import UNKNOWN, current_client
from api.security.waiting_places import UNLIMITED


def limited_client() -> str:
    """Return the client that this request counts for in CLIENT_SHARE: its token of READ_TOKENS, else `current_client`.

    Returns `UNLIMITED` for CLIENT_SHARE_EXEMPT, for operators, and for clients without an address.
    """
    client = current_client()
    if client == UNKNOWN or _is_exempt(client) or is_operator():
        return UNLIMITED
    return read_token_digest() or client


def limited_origin(path: str) -> str:
    """Return the name of the origin of the master at *path*; `UNLIMITED` for a folder, or if there is one origin."""
    settings = context().settings
    named = settings.origin_of(path) if len(settings.origins) > 1 else None
    return named.limits_name if named else UNLIMITED


def _is_exempt(client: str) -> bool:
    network = ipaddress.ip_network(client)
    return any(network.overlaps(exempt) for exempt in context().settings.client_share_exempt)
