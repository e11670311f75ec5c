"""The pages for people: the home page and the HTML form of an error, from values alone, without a request."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TILES_MAX = 12  # each shows a whole mezzanine, scaled down by the browser


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the home page: *path* in the repository, *href* under which mezcal serves it.

    *width* and *height* in pixels and *bytes* are the derivative's, where known. A *sample* comes with mezcal
    and is small: the page shows it even if not *cached*, which makes it.
    """

    path: str
    href: str
    width: int | None
    height: int | None
    cached: bool
    bytes: int | None
    sample: bool = False

    @property
    def shown(self) -> bool:
        """Whether the page fetches the image: a master of unknown size is made only when somebody asks."""
        return self.cached or self.sample


@dataclass(frozen=True, slots=True)
class CacheUse:
    """How full the store is; None where nobody has counted yet, or where no bound is known."""

    derivatives: int | None
    bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """Jobs *queued* by lane, *running* now, and *failed* as far as failures are remembered."""

    queued: Mapping[str, int]
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class Retry:
    """When to ask again: after *seconds*; by itself where the page will *reload*, since a job goes on.

    *job* is that job's address, at which the page may look more often than it loads itself anew.
    """

    seconds: int
    reload: bool = False
    job: str | None = None


def home(tiles: Sequence[Tile], cache: CacheUse, queue: QueueState | None, base_url: str) -> str:
    """The home page: the form of old, the first TILES_MAX of *tiles*, the cache and the queue.

    *queue* is None where the broker cannot be reached; an empty *base_url* is not shown.
    """
    page = environment().get_template("home.html")
    return page.render(tiles=tiles[:TILES_MAX], cache=cache, queue=queue, base_url=base_url)


def error(
    status: int,
    title: str,
    detail: str,
    *,
    instance: str | None = None,
    retry: Retry | None = None,
    home_href: str = "/",
) -> str:
    """A problem (RFC 9457) for browsers that prefer HTML; *instance* is the path that was asked for."""
    page = environment().get_template("error.html")
    return page.render(status=status, title=title, detail=detail, instance=instance, retry=retry, home_href=home_href)


def response(page: str, status: int = 200) -> Response:
    """A page to send: nothing of it may be kept, framed, or load anything but our own images."""
    answer = Response(page, status, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = content_security_policy()
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer


@cache
def content_security_policy() -> str:
    """The header for all pages: nothing but our own images, and the style sheets and scripts known by their hashes."""
    styles, scripts = _hashes("mezcal.css", "ops.css"), _hashes("progress.js", "ops.js")
    return (
        f"default-src 'none'; img-src 'self' data:; style-src {styles}; script-src {scripts}; "
        "connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _hashes(*names: str) -> str:
    digests = (hashlib.sha256(asset(name).encode()).digest() for name in names)
    return " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)


@cache
def environment() -> Environment:
    """The templates; style and icon go into the page, which then needs no second request at any prefix."""
    made = Environment(
        loader=PackageLoader("api"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["size"] = readable_size
    made.globals["style"] = Markup(asset("mezcal.css"))  # noqa: S704 - our own file
    made.globals["script"] = Markup(asset("progress.js"))  # noqa: S704 - our own file
    made.globals["icon"] = "data:image/svg+xml," + quote(asset("favicon.svg"))
    return made


def asset(name: str) -> str:
    """One of the files in `static`."""
    return files("api").joinpath("static", name).read_text(encoding="utf-8")


def readable_size(count: int) -> str:
    """*count* bytes for people: `0 bytes`, `830 KB`, `1.4 GB` (of 1000 bytes, as disks are sold)."""
    if count < 1000:
        return f"{count} byte" if count == 1 else f"{count} bytes"
    amount, units = count / 1000, ["KB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.1f} {units[0]}" if amount < 9.95 else f"{amount:,.0f} {units[0]}"
