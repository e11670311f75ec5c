"""URLs of masters: neither a path nor a redirect may lead a request, or a credential, to another server."""

from __future__ import annotations

from urllib.parse import SplitResult, quote, unquote, urlsplit

from mezcal.http import DEFAULT_PORTS, Server, has_user, server_of

# What a path may have unescaped (pchar of RFC 3986, 3.3), but `;` and `+`: servers read the first as the beginning of
# parameters, some the second as a space. quote() keeps the unreserved characters by itself.
PCHAR = "!$&'()*,=:@~"


def join(base: str, path: str, unescaped: str = PCHAR) -> str:
    """Return the URL of *path* under *base*, which ends with a slash. Each segment is percent-encoded.

    The *unescaped* characters stay as they are, besides the unreserved ones.
    """
    return base + "/".join(quote(segment, safe=unescaped) for segment in path.split("/"))


def bucket_and_prefix(base: str) -> tuple[str, str] | None:
    """Return the bucket and the prefix of the keys in the `s3://` URL *base*; None for another URL.

    The prefix is empty, or ends with a slash.
    """
    parts = urlsplit(base)
    if parts.scheme != "s3":
        return None
    prefix = unquote(parts.path).strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def path_under(base: str, url: str) -> str | None:
    """Return the decoded path of *url* under *base*, the inverse of `join`.

    Returns None if *url* is not under *base*, or has a query.
    """
    try:
        base_parts, parts = urlsplit(base), urlsplit(url.strip())
        elsewhere = _authority(base_parts) != _authority(parts) or parts.username is not None
    except ValueError:
        return None
    prefix = [unquote(segment) for segment in base_parts.path.split("/")[:-1]]
    segments = [unquote(segment) for segment in parts.path.split("/")]
    path = segments[len(prefix) :]
    if elsewhere or parts.query or segments[: len(prefix)] != prefix or any("/" in segment for segment in path):
        return None
    return "/".join(path) or None


def is_below(base: str, url: str) -> bool:
    """Return True if *url* is *base* or below it, whatever its query."""
    bare = url.partition("#")[0].partition("?")[0]
    return path_under(base, bare.rstrip("/") + "/x") is not None


def simplified(url: str) -> str:
    """Return *url* with its path as the most tolerant server reads it.

    Such a server decodes a path again and again, ends a segment at `;`, takes a backslash for a slash, removes `.`,
    `..` and empty segments, and does not tell upper from lower case.
    """
    parts = urlsplit(url)
    path, decoded = parts.path, unquote(parts.path)
    while decoded != path:
        path, decoded = decoded, unquote(decoded)
    kept: list[str] = []
    for segment in path.replace("\\", "/").split("/"):
        name = segment.partition(";")[0].casefold()
        if name == "..":
            del kept[-1:]
        elif name not in {"", "."}:
            kept.append(name)
    ending = "/" if path.endswith("/") and kept else ""
    return parts._replace(path="/" + quote("/".join(kept)) + ending).geturl()


def _authority(parts: SplitResult) -> tuple[str, str | None, int | None]:
    scheme, host, port = parts.scheme, parts.hostname, parts.port
    if scheme == "s3":
        host = parts.netloc  # of buckets, upper and lower case may differ
    return scheme, host, port or DEFAULT_PORTS.get(scheme)


def may_redirect(home: Server, url: str, target: str, allowed_hosts: frozenset[str]) -> bool:
    """Return True if a redirect from *url* to *target* stays with the origin or the *allowed_hosts*.

    The origin's own server is *home* (scheme, host and port), or https on the same host at its default port. Another
    port is another service and needs an entry `host` or `host:port`. A redirect from https to http is never allowed.
    """
    server = server_of(target)
    if has_user(target) or (server_of(url).scheme == "https" and server.scheme == "http"):
        return False
    upgraded = Server("https", home.host, 443)
    return server in {home, upgraded} or is_listed(server, allowed_hosts)


def is_listed(server: Server, hosts: frozenset[str]) -> bool:
    """Return True if *server* is one of *hosts*, each `host` or `host:port` in lower case."""
    return bool({server.host, f"{server.host}:{server.port}"} & hosts)
