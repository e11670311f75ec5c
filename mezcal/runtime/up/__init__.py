"""The whole of mezcal on one machine, in one foreground process: broker, worker, API and dashboard."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mezcal import sample, settings
from mezcal.errors import CannotStart
from mezcal.runtime import processes
from mezcal.runtime.nginx import HOW_TO_GET, can_name, nginx
from mezcal.runtime.up import broker, environment, parts, remembered_options
from mezcal.runtime.up.claim import Address, claimed, free_address
from mezcal.runtime.up.log_relay import Journal
from mezcal.runtime.up.parts import HANDED, NGINX
from mezcal.runtime.up.supervisor import Supervisor
from mezcal.runtime.up.worker_parts import WorkerParts
from mezcal.settings.typos import find_typos, names_in_file
from mezcal.store.local.last_use import access_times_kept
from mezcal.store.local.layout import OURS
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.runtime.up.claim import Folder

NginxChoice = Literal["auto", "always", "never"]
COUNTS = "metrics"  # the folder, in that of what runs, in which processes count together


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line asks for; None leaves it to the settings."""

    host: str
    port: int
    workers: int
    origin: str | None = None
    data_dir: Path | None = None
    flower_port: int | None = None  # None is no dashboard
    nginx: NginxChoice = "auto"  # nginx takes host and port, the API a free port on loopback


def up(wish: UpOptions) -> int:
    """Start everything, say so in one line on stdout, keep it running until a signal; the exit code.

    Raises `CannotStart` or `WrongSetting` before anything was started.
    """
    chosen = settings_for(wish)
    program = nginx_program(wish, chosen)
    if program is not None:
        chosen = behind_nginx(wish, chosen)
    with ExitStack() as stack:
        folder = stack.enter_context(claimed(chosen.data_dir.absolute()))
        at = free_address(wish.host, wish.port)
        chosen = remembering(chosen, folder) if program else chosen
        board = None if wish.flower_port is None else free_address("127.0.0.1", wish.flower_port)
        if board is not None and board.port == at.port:
            raise CannotStart(f"port {at.port} is wanted for the API and for the dashboard")
        sock = stack.enter_context(broker.socket_place(folder.run))
        stack.enter_context(emptied(folder.run / COUNTS))
        stack.enter_context(emptied(folder.run / NGINX))
        stack.enter_context(remembered_options.options_saved(folder.run, by_options(wish, chosen, sock)))
        cast = the_parts(chosen, wish, folder, (at, board, sock), program)
        journal = Journal(sys.stderr.fileno(), Redactor.of(chosen), json=chosen.log_format == "json")
        for slip in find_typos(names_in_file() - os.environ.keys()):  # the parts see no `.env`; they tell all else
            journal.write_own(slip)
        if wish.nginx == "auto" and (obstacle := nginx_obstacle(wish, settings_for(wish))):
            journal.write_own(without_nginx(at, obstacle))
        return Supervisor(cast, journal, keep=(folder.lock,)).run(lambda: announce(journal, chosen, at, board))


def announce(journal: Journal, chosen: settings.Settings, at: Address, board: Address | None) -> None:
    """The one line on stdout; whoever waits for it may be gone. What is cached is served even where nothing can
    be made: then it is said why.
    """
    if not parts.answers(at, "/readyz"):
        journal.write_own(f"images that are not cached cannot be made now; {at.url}readyz tells why")
    if board is not None:
        kept = chosen.data_dir.absolute() / "flower" / "password"
        who = (
            f"user mezcal, password in {kept}" if chosen.flower_basic_auth is None else "user as FLOWER_BASIC_AUTH says"
        )
        journal.write_own(f"the dashboard is at {board.url} ({who})")
    with suppress(OSError):
        processes.HealthSign(url=f"{at.url}healthz").write()
        print(f"mezcal is ready at {at.url}", flush=True)


def nginx_program(wish: UpOptions, chosen: settings.Settings) -> Path | None:
    """Return the nginx to start, None for none. Raises `CannotStart` if the option requires it and it cannot be."""
    obstacle = nginx_obstacle(wish, chosen)
    if obstacle is not None and wish.nginx == "always":
        raise CannotStart(f"nginx cannot be started: {obstacle}")
    return None if obstacle is not None or wish.nginx == "never" else nginx()


def nginx_obstacle(wish: UpOptions, chosen: settings.Settings) -> str | None:
    """Return why nginx cannot, or shall not, be started; None if it can."""
    if chosen.sendfile_header is not None and wish.nginx == "auto":
        return f"SENDFILE_HEADER={chosen.sendfile_header} leaves sending to another server"
    if not (can_name(chosen.data_dir.absolute()) and can_name(chosen.cache_dir)):
        return "its configuration cannot name a folder with a $"
    return f"there is none here; {HOW_TO_GET}" if nginx() is None else None


def without_nginx(at: Address, obstacle: str) -> str:
    """Return the line that says why nginx is not started, and what that means."""
    exposed = "" if at.loopback else f", and slow clients of {at.bind} can hold all of its threads"
    return f"nginx is not started: {obstacle}. The API answers by itself: hits are several times slower{exposed}"


def behind_nginx(wish: UpOptions, chosen: settings.Settings) -> settings.Settings:
    """Return the settings of an API that lets nginx send files, where nginx can read the store."""
    if chosen.storage != "local":
        return chosen
    return settings_for(wish, sendfile_header="X-Accel-Redirect")


def remembering(chosen: settings.Settings, folder: Folder) -> settings.Settings:
    """Return *chosen*, with a file for nginx to note what it serves, where the cache's file system does not note it."""
    if chosen.cache_use_log is not None:
        return chosen
    with suppress(OSError):  # a cache that cannot be written is not trimmed either
        if not access_times_kept(chosen.cache_dir / OURS):
            return chosen.model_copy(update={"cache_use_log": folder.root / "nginx-uses.log"})
    return chosen


def settings_for(wish: UpOptions, **more: Any) -> settings.Settings:
    """Return the settings. What the command line says, and *more*, goes before all else."""
    said = {"data_dir": wish.data_dir, "repo_base_url": origin_url(wish.origin)} | more
    given = {name: value for name, value in said.items() if value is not None}
    chosen = settings.load(**given)
    if chosen.repo_base_url is None:
        chosen = settings.load(**given, repo_base_url=sample.FOLDER.as_uri())
    return chosen


def by_options(wish: UpOptions, chosen: settings.Settings, sock: Path) -> dict[str, str]:
    """What the commands beside us cannot know from environment and `.env`: no secrets."""
    said: dict[str, object] = {
        "repo_base_url": chosen.repo_base_url if wish.origin is not None else None,
        "redis_url": f"redis+socket://{sock}" if chosen.redis_url is None else None,
        "cache_use_log": chosen.cache_use_log,
        "sendfile_header": chosen.sendfile_header,
    }
    return {name: str(value) for name, value in said.items() if value is not None}


def origin_url(origin: str | None) -> str | None:
    """--origin as a URL: a plain folder becomes file:///."""
    if origin is None or "://" in origin:
        return origin
    folder = Path(origin).absolute()
    if not folder.is_dir():
        raise CannotStart(f"--origin {origin} is neither a URL nor a folder")
    return folder.as_uri()


@contextmanager
def emptied(place: Path) -> Iterator[None]:
    """Make the folder *place* with nothing in it, not even what a killed `up` has left, and remove it at the end."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)
    try:
        yield
    finally:
        shutil.rmtree(place, ignore_errors=True)


def the_parts(
    chosen: settings.Settings,
    wish: UpOptions,
    folder: Folder,
    places: tuple[Address, Address | None, Path],
    program: Path | None = None,
) -> list[parts.Part]:
    """What is to run: with REDIS_URL no broker of our own, but that one must answer first; *program* is nginx."""
    at, board, sock = places
    if program is not None and chosen.nginx_hit_log is None:
        chosen = chosen.model_copy(update={"nginx_hit_log": folder.run / NGINX / "hits.log"})
    env = environment.handed_on(chosen, os.environ)
    if at.loopback and "loopback_trusted" not in chosen.model_fields_set:
        env["LOOPBACK_TRUSTED"] = "1"
    env[HANDED] = str(folder.run / COUNTS)
    cast = []
    if chosen.redis_url is None:
        env["REDIS_URL"] = f"redis+socket://{sock}"
        cast.append(broker.broker(folder, sock, chosen.log_level, env))
    else:
        broker.await_given_broker(env)
    behind = at if program is None else free_address("127.0.0.1", 0)
    cast += [*WorkerParts(chosen, folder.run, "@%h", env).of(wish.workers), parts.api(chosen, folder, behind, env)]
    if program is not None:
        cast.append(parts.nginx(chosen, folder, program, (at, behind), env))
    if board is not None:
        cast.append(parts.dashboard(folder, board, env))
    return cast
