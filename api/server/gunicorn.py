"""gunicorn's settings for the API, each with its reason; measured in benchmarks/hits.py."""

from __future__ import annotations

import atexit
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

from api.context import EXTENSION
from api.nginx_hits import follow_nginx
from api.server.closing import end_request
from api.server.hits import application
from api.server.open_files import FILES_MOST, limits
from api.server.protocol_errors import use_problem_details
from api.server.thread_worker import use_poll
from mezcal.runtime.parent_death import follow_parent
from mezcal.settings import load
from mezcal.settings.typos import find_typos, given_names
from mezcal.telemetry import multiprocess
from mezcal.telemetry.history import record_requests
from mezcal.telemetry.logs import format_gunicorn_logs, set_up_logs

if TYPE_CHECKING:
    from types import FrameType

    from gunicorn.http.message import Request

_settings = load()

SPARE_THREADS = 16  # never taken by requests that wait for a miss: WAITERS_MAX bounds these
_limits = limits(_settings.waiters_max, SPARE_THREADS)
ANSWERING_SECONDS = 1.0  # kept of DRAIN_SECONDS for sending the last answers

wsgi_app = "api.server.hits:application()"
worker_class = "api.server.thread_worker.ApiWorker"
worker_connections = _limits.connections
threads = _limits.threads
workers = _settings.api_processes
preload_app = workers > 1  # several share the memory of the application; it connects only when first asked
keepalive = 75  # longer than the 60 s for which proxies keep a connection: the proxy closes it, not the API
timeout = 120  # of a process whose main loop is blocked; a waiting thread does not count
graceful_timeout = max(int(_settings.drain_seconds), 1)
control_socket_disable = True  # it would open one under the home folder
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112 - gunicorn's own names there
accesslog = None  # api/request_log.py writes the lines
errorlog = "-"
loglevel = "warning"
limit_request_line = 8190  # the most that gunicorn takes: PATH_MAX, most of it percent-encoded
forwarded_allow_ips = ""  # nothing here believes a forwarded address


def on_starting(_arbiter: Any) -> None:
    """Set up logs and error responses once, before the application is loaded."""
    use_problem_details()
    use_poll()
    set_up_logs(_settings, "api")
    format_gunicorn_logs()
    for typo in find_typos(given_names()):
        logging.getLogger(__name__).warning(typo)
    if _limits.files < FILES_MOST and _limits.waiters < _settings.waiters_max:
        logging.getLogger(__name__).warning(_limits.explained())
    multiprocess.start_sharing("api")


def post_fork(_arbiter: Any, _worker: Any) -> None:
    """End with gunicorn's main process, even if it is killed; allow as many open files as the system does."""
    follow_parent(signal.SIGKILL)
    _limits.allow_files()
    multiprocess.register_process()


def pre_request(_worker: Any, request: Request) -> None:
    """Answer HTTP/1.2 and the like as HTTP/1.1: gunicorn would send the client's version back (RFC 9112, 2.3)."""
    request.version = min(request.version, (1, 1))


def post_request(_worker: Any, _request: Any, environ: dict[str, Any], response: Any) -> None:
    """Receive the rest of the request, or end its connection, in this thread."""
    if response is not None:
        end_request(environ, response.should_close())


def post_worker_init(_worker: Any) -> None:
    """Follow nginx's hits. On SIGTERM accept no more waiters, and answer those there are while there is time."""
    context = application().extensions[EXTENSION]
    context.waiting_places.limit(_limits.waiters)
    reader = follow_nginx(context)
    if reader is not None:
        atexit.register(reader.pass_on)
    record_requests(context.jobs.minutes)
    end_of_gunicorn = signal.getsignal(signal.SIGTERM)
    assert callable(end_of_gunicorn)

    def drain(signum: int, frame: FrameType | None) -> None:
        context.jobs.listener.drain(max(0.0, graceful_timeout - ANSWERING_SECONDS))
        end_of_gunicorn(signum, frame)

    signal.signal(signal.SIGTERM, drain)
    signal.siginterrupt(signal.SIGTERM, False)
