"""All of mezcal on one machine, in one foreground process: broker, worker, API, nginx and dashboard."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal import sample
from mezcal.errors import CannotStart
from mezcal.runtime import processes
from mezcal.runtime.address import Address, free_address
from mezcal.runtime.host_names import only_own_names
from mezcal.runtime.up import broker, environment, parts, remembered_options
from mezcal.runtime.up.claim import Folder, claim_cache, claimed
from mezcal.runtime.up.log_relay import Journal
from mezcal.runtime.up.options import (
    UpOptions,
    nginx_obstacle,
    nginx_to_start,
    no_nginx_warning,
    options_to_remember,
    settings_behind_nginx,
    settings_for,
    with_queues,
    with_use_log,
)
from mezcal.runtime.up.parts import NGINX
from mezcal.runtime.up.supervisor import Supervisor
from mezcal.runtime.up.worker_parts import METRICS, WorkerParts
from mezcal.settings.typos import find_typos, names_in_file
from mezcal.telemetry import METRICS_FOLDER_VARIABLE
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.settings import Settings


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts are reached: the API (or nginx in front of it), the dashboard if one runs, our own broker."""

    api: Address
    dashboard: Address | None
    broker: Path


def up(options: UpOptions) -> int:
    """Start everything, print one line on stdout when it is ready, and run until a signal. Returns the exit code.

    Raises `CannotStart` or `WrongSetting` before anything is started.
    """
    chosen = settings_for(options)
    processes.check_origin(chosen)
    program = nginx_to_start(options, chosen)
    if program is not None:
        chosen = settings_behind_nginx(options, chosen)
    with ExitStack() as stack:
        folder = stack.enter_context(claimed(chosen.data_dir.absolute()))
        claimed_lines = claim_cache(chosen)
        places = reserve_places(options, folder, stack)
        chosen = with_use_log(chosen, folder) if program else chosen
        chosen = with_queues(options, chosen)
        stack.enter_context(empty_folder(folder.run / NGINX))
        remembered = options_to_remember(chosen, places.broker)
        stack.enter_context(remembered_options.options_saved(folder.run, remembered))
        started = list_parts(chosen, options.workers, folder, places, program)
        journal = Journal(sys.stderr.fileno(), Redactor.of(chosen), json=chosen.log_format == "json")
        greet(journal, chosen, started)
        warn(journal, options, places)
        for line in claimed_lines:
            journal.write_own(line)
        return Supervisor(started, journal, keep=(folder.lock,)).run(lambda: announce(journal, chosen, places))


def reserve_places(options: UpOptions, folder: Folder, stack: ExitStack) -> Places:
    """Returns where the parts will listen. Raises `CannotStart` if a port is in use or wanted twice."""
    api = free_address(options.host, options.port)
    dashboard = None if options.flower_port is None else free_address("127.0.0.1", options.flower_port, "--flower-port")
    if dashboard is not None and dashboard.port == api.port:
        raise CannotStart(
            f"port {api.port} is wanted for the API and for the dashboard: give them two, with --port and --flower-port"
        )
    return Places(api, dashboard, stack.enter_context(broker.socket_place(folder.run)))


def greet(journal: Journal, chosen: Settings, started: list[parts.Part]) -> None:
    """Log what is started, for which masters. It is the first line that a user sees."""
    samples = chosen.repo_base_url == sample.FOLDER.as_uri()
    urls = [f"{origin.prefix}: {origin.base_url}" if origin.prefix else origin.base_url for origin in chosen.origins]
    masters = "the built-in samples" if samples else ", ".join(urls)
    archive = f"; frames: {chosen.archive_api_url}" if chosen.archive_api_url else ""
    cache = chosen.cache_dir if chosen.storage == "local" else f"the bucket {chosen.aws_bucket}"
    names = ", ".join(part.name for part in started)
    journal.write_own(f"starting {names}; masters: {masters}{archive}; cache: {cache}")
    if os.geteuid() == 0:
        journal.write_own("running as root, which mezcal does not need: a user of its own is safer")


def warn(journal: Journal, options: UpOptions, places: Places) -> None:
    """Log misspelled settings in `.env`, and why nginx is not started."""
    for typo in find_typos(names_in_file() - os.environ.keys()):  # the parts read no `.env`, and report all others
        journal.write_own(typo)
    if options.nginx == "auto" and (obstacle := nginx_obstacle(options, settings_for(options))):
        journal.write_own(no_nginx_warning(places.api, obstacle))


def announce(journal: Journal, chosen: Settings, places: Places) -> None:
    """Print the one line on stdout. Its reader may have closed the pipe.

    Cached images are served even if none can be made. The log then says where the reason is.
    """
    address, dashboard = places.api, places.dashboard
    if not parts.answers(address, "/readyz"):
        journal.write_own(f"images that are not cached cannot be made now; {address.url}readyz has the reason")
    if dashboard is not None:
        journal.write_own(f"the dashboard is at {dashboard.url} ({dashboard_user(chosen)})")
    with suppress(OSError):
        processes.HealthSign(url=f"{address.url}healthz").write()
        print(f"mezcal is ready at {address.url}", flush=True)


def dashboard_user(chosen: Settings) -> str:
    """Returns who may sign in at the dashboard, and where the password is."""
    if chosen.flower_basic_auth is not None:
        return "user as FLOWER_BASIC_AUTH says"
    return f"user mezcal, password in {chosen.data_dir.absolute() / 'flower' / 'password'}"


@contextmanager
def empty_folder(path: Path) -> Iterator[None]:
    """Make an empty folder at *path*, and remove it at the end. What a killed `mezcal up` left there is removed."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)


def list_parts(
    chosen: Settings, workers: int, folder: Folder, places: Places, program: Path | None = None
) -> list[parts.Part]:
    """Returns the parts to start. *program* is nginx.

    With REDIS_URL there is no broker of our own. Raises `CannotStart` if the one that it names does not answer.
    """
    if program is not None and chosen.nginx_hit_log is None:
        chosen = chosen.model_copy(update={"nginx_hit_log": folder.run / NGINX / "hits.log"})
    if places.api.loopback:
        chosen = only_own_names(chosen, places.api.host)
    env = environment.handed_on(chosen, os.environ)
    if places.api.loopback and "loopback_trusted" not in chosen.model_fields_set:
        env["LOOPBACK_TRUSTED"] = "1"
    env[METRICS_FOLDER_VARIABLE] = str(folder.memory / METRICS)
    listed = []
    if chosen.redis_url is None:
        env["REDIS_URL"] = f"redis+socket://{places.broker}"
        listed.append(broker.broker(folder, places.broker, chosen.log_level, env))
    else:
        broker.await_given_broker(env)
    listed += WorkerParts(chosen, folder.memory, "@%h", env).of(workers)
    address = places.api if program is None else free_address("127.0.0.1", 0)
    listed.append(parts.api(chosen, folder, address, env))
    if program is not None:
        listed.append(parts.nginx(chosen, folder, program, (places.api, address), env))
    if chosen.listen_urls:
        listed.append(parts.listener(chosen, folder, env))
    if places.dashboard is not None:
        listed.append(parts.dashboard(folder, places.dashboard, env))
    return listed
