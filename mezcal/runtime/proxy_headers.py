"""Tells by its headers if a request came through a proxy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Forwarded, X-Forwarded-For, X-Original-Forwarded-For; CF-Connecting-IP, True-Client-IP, X-Real-IP, X-Remote-Addr ..;
# and what some proxies add to every request.
PROXY_HEADER = re.compile(
    r"forwarded|(client|cluster|connecting|originating|real|remote|user)-?(ip|addr)|^(via|cdn-loop|x-scheme)$"
    r"|^(cf|x-(amzn|appengine|arr|azure|envoy|original|proxy))-",
    re.IGNORECASE,
)


def has_proxy_header(names: Iterable[str]) -> bool:
    """Return True if one of the header *names* is one that only proxies add."""
    return any(PROXY_HEADER.search(name) for name in names)
