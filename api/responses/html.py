"""HTML pages: the templates, and the headers of every page."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from flask import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.responses.readable_text import minute, readable_duration, readable_size, rfc3339, sentence

STYLES = {"style": "mezcal.css", "ops_style": "ops.css"}  # by their names in the templates
SCRIPTS = {"script": "progress.js", "ops_script": "ops.js"}

CODE = re.compile(  # in sentences: commands, URLs, names of settings, pages of the documentation
    r"(mezcal (?:check|failures|worker)(?: --?\w+)*(?: (?:PATH|ID|[0-9a-f]{32}))?"
    r"|(?:https?|file)://\S+(?<![.,;])|`[^`]+`|\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b|docs/[\w-]+\.md|/ops\b)"
)


def response(html: str, status: int = 200) -> Response:
    """Return a response with a page that may not be stored or framed, and loads nothing but our own images."""
    page = Response(html, status, mimetype="text/html")
    page.headers["Content-Security-Policy"] = content_security_policy()
    page.headers["Cache-Control"] = "no-store"
    page.headers["Referrer-Policy"] = "same-origin"
    return page


def render(template: str, **values: Any) -> str:
    """Return the page that *template* makes of *values*."""
    return _environment().get_template(template).render(**values)


@cache
def content_security_policy() -> str:
    """Return the header of all pages. It allows our own images, and the styles and scripts that have these hashes."""
    return (
        f"default-src 'none'; img-src 'self' data:; style-src {_hashes(STYLES)}; script-src {_hashes(SCRIPTS)}; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _hashes(names: dict[str, str]) -> str:
    digests = (hashlib.sha256(asset(name).encode()).digest() for name in names.values())
    return " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)


@cache
def _environment() -> Environment:
    """Return the template environment. Pages contain their styles, scripts and icon: no second request is needed."""
    environment = Environment(
        loader=PackageLoader("api"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": readable_size, "duration": readable_duration, "sentence": sentence}
    environment.filters |= {"rfc3339": rfc3339, "minute": minute, "code_parts": code_parts}
    environment.globals |= {name: asset(file) for name, file in (STYLES | SCRIPTS).items()}
    environment.globals["icon"] = "data:image/svg+xml," + quote(asset("favicon.svg"))
    return environment


def code_parts(text: str) -> list[tuple[str, bool]]:
    """Return *text* in parts. True marks those that are code: commands, URLs, names of settings."""
    return [(part.strip("`"), number % 2 == 1) for number, part in enumerate(CODE.split(text)) if part]


def asset(name: str) -> str:
    """Return the text of a file in `static`."""
    return files("api").joinpath("static", name).read_text(encoding="utf-8")
