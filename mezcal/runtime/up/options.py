"""The options of `mezcal up`, the settings that follow from them, and the decision to start nginx or not."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from mezcal import sample, settings
from mezcal.errors import CannotStart
from mezcal.runtime.nginx import HOW_TO_GET, can_name, nginx
from mezcal.settings.queue_address import QueueAddress
from mezcal.store.local.last_use import access_times_kept
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from mezcal.runtime.address import Address
    from mezcal.runtime.up.claim import Folder
    from mezcal.settings import Settings

# of the settings that say which installation it is
REMEMBERED = (
    *(
        "repo_base_url",
        "origins_file",
        "repo_internal_url",
        "archive_api_url",
        "key_prefix",
        "storage",
        "storage_layout",
    ),
    *("aws_bucket", "aws_prefix", "storage_url", "s3_addressing", "aws_default_region"),
    *("repo_region", "repo_requester_pays"),
)

NginxChoice = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of the command line. None means that the settings decide."""

    host: str
    port: int
    workers: int
    origin: str | None = None
    data_dir: Path | None = None
    flower_port: int | None = None  # None starts no dashboard
    nginx: NginxChoice = "auto"  # nginx takes host and port, the API a free port on loopback
    listen: tuple[str, ...] = ()  # URLs of message queues, besides those of LISTEN_URLS


def settings_for(options: UpOptions, **more: Any) -> Settings:
    """Read the settings; *options* and *more* override environment and `.env`. Raises `WrongSetting`, `CannotStart`.

    The built-in samples are the origin if no setting names one.
    """
    values = {"data_dir": options.data_dir, "repo_base_url": origin_url(options.origin)} | more
    overrides = {name: value for name, value in values.items() if value is not None}
    loaded = settings.load(**overrides)
    if not loaded.origins:
        loaded = settings.load(**overrides, repo_base_url=sample.FOLDER.as_uri())
    return loaded


def options_to_remember(chosen: Settings, sock: Path) -> dict[str, str]:
    """Returns the settings with which other commands find the same origin, store and queue. None of them is a secret.

    Not all are options of `mezcal up`: its environment may differ from that of the commands.
    *sock* is the socket of our own broker.
    """
    values: dict[str, object] = {name: getattr(chosen, name) for name in REMEMBERED} | {
        "origins_file": chosen.origins_file and chosen.origins_file.absolute(),
        "storage_dir": chosen.cache_dir,
        "redis_url": f"redis+socket://{sock}" if chosen.redis_url is None else None,
        "cache_use_log": chosen.cache_use_log,
        "sendfile_header": chosen.sendfile_header,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def origin_url(origin: str | None) -> str | None:
    """Returns --origin as a URL: a folder becomes a file: URL. Raises `CannotStart` if there is no such folder."""
    if origin is None or "://" in origin:
        return origin
    folder = Path(origin).absolute()
    if not folder.is_dir():
        raise CannotStart(f"--origin {origin} is neither a URL nor a folder")
    plain = Path(os.path.normpath(folder))
    same = plain.is_dir() and plain.samefile(folder)  # not if `..` follows a link to a folder
    return (plain if same else folder).as_uri()


def with_queues(options: UpOptions, chosen: Settings) -> Settings:
    """Returns *chosen*, with the queues of --listen as well. Raises `WrongSetting` for a URL that cannot be used."""
    urls = (*chosen.listen_urls, *map(SecretStr, options.listen))
    for url in urls:
        QueueAddress.parse(url.get_secret_value())
    return chosen.model_copy(update={"listen_urls": urls})


# --- nginx


def nginx_to_start(options: UpOptions, chosen: Settings) -> Path | None:
    """Returns the program to start as nginx, None for none. Raises `CannotStart` if it is required and cannot start."""
    obstacle = nginx_obstacle(options, chosen)
    if obstacle is not None and options.nginx == "always":
        raise CannotStart(f"nginx cannot be started: {obstacle}")
    return None if obstacle is not None or options.nginx == "never" else nginx()


def nginx_obstacle(options: UpOptions, chosen: Settings) -> str | None:
    """Returns the reason why nginx cannot or should not be started, None if there is no reason."""
    if chosen.sendfile_header is not None and options.nginx == "auto":
        return f"SENDFILE_HEADER={chosen.sendfile_header} leaves sending to another server"
    if not (can_name(chosen.data_dir.absolute()) and can_name(chosen.cache_dir)):
        return "its configuration cannot name a folder with a $"
    return f"there is none here; {HOW_TO_GET}" if nginx() is None else None


def no_nginx_warning(address: Address, obstacle: str) -> str:
    """Returns the line that says why nginx is not started, and what that means."""
    exposed = "" if address.loopback else f", and slow clients of {address.bind} can hold all of its threads"
    return f"nginx is not started: {obstacle}. The API answers by itself: hits are several times slower{exposed}"


def settings_behind_nginx(options: UpOptions, chosen: Settings) -> Settings:
    """Returns the settings of an API behind nginx: nginx sends the files of a local store."""
    if chosen.storage != "local":
        return chosen
    return settings_for(options, sendfile_header="X-Accel-Redirect")


def with_use_log(chosen: Settings, folder: Folder) -> Settings:
    """Returns *chosen*, with a file for the hits that nginx serves if the cache's file system keeps no access times."""
    if chosen.cache_use_log is not None:
        return chosen
    with suppress(OSError):  # a cache that cannot be written is not trimmed either
        if not access_times_kept(chosen.cache_dir / OURS):
            return chosen.model_copy(update={"cache_use_log": folder.root / "nginx-uses.log"})
    return chosen
