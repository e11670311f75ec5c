"""Serves a worker's `/metrics` at METRICS_PORT, from a process that does nothing else.

A thread of the worker's main process would run during every fork of its pool. Its event loop is blocked while the
broker is away, when metrics are needed most.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import os
import signal
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from mezcal.jobs import Jobs
from mezcal.runtime.host_names import host_name, is_own_name
from mezcal.runtime.parent_death import follow_parent
from mezcal.runtime.proxy_headers import has_proxy_header
from mezcal.store import open_store
from mezcal.telemetry import multiprocess
from mezcal.telemetry.exposition import CONTENT_TYPE, metrics_text
from mezcal.telemetry.gauges import Gauges

if TYPE_CHECKING:
    from typing import NoReturn

    from mezcal.settings import Settings

log = logging.getLogger(__name__)

CLIENT_SECONDS = 5.0  # in which a client must send its request


class MetricsProcess:
    """The process that serves `/metrics`; it is started again if it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pid: int | None = None

    def keep_running(self) -> None:
        """Start the process, unless it runs or METRICS_PORT is 0."""
        if not self._settings.metrics_port or self._runs():
            return
        owner = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _serve(self._settings, owner)

    def _runs(self) -> bool:
        if self._pid is None:
            return False
        try:
            return os.waitpid(self._pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:  # it was waited for elsewhere
            return False


def _serve(settings: Settings, owner: int) -> NoReturn:
    """Answer requests until the worker ends."""
    try:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(signum, signal.SIG_DFL)
        follow_parent(signal.SIGKILL, owner)
        multiprocess.register_process()
        gauges = Gauges(Jobs.of(settings), open_store(settings), settings.data_dir, settings.hooks)
        MetricsServer(settings, gauges).serve_forever()
    except OSError as error:
        log.error("the worker cannot listen at METRICS_PORT %d: %s", settings.metrics_port, error.strerror)  # noqa: TRY400
        signal.pause()  # the worker would start another one, which would fail too
    except Exception:
        log.exception("the process that serves the worker's metrics failed")
    finally:
        os._exit(1)


class MetricsServer(ThreadingHTTPServer):
    """Listens at METRICS_ADDRESS and METRICS_PORT."""

    daemon_threads = True

    def __init__(self, settings: Settings, gauges: Gauges) -> None:
        self.gauges = gauges
        token = settings.metrics_token
        self.token = _digest(token.get_secret_value()) if token else None
        self.address_family = socket.AF_INET6 if ":" in settings.metrics_address else socket.AF_INET
        super().__init__((settings.metrics_address, settings.metrics_port), MetricsRequest)


class MetricsRequest(BaseHTTPRequestHandler):
    """A request of one client."""

    server: MetricsServer
    timeout = CLIENT_SECONDS
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Send the metrics, if the client may see them."""
        if self.path.partition("?")[0] != "/metrics":
            self._send(404, b"this port serves only /metrics\n")
        elif self.server.token is not None and not self._has_token():
            self._send(401, b"this needs `Authorization: Bearer` with METRICS_TOKEN\n")
        elif self.server.token is None and not self._is_near():
            self._send(403, b"metrics are for this machine alone until the variable METRICS_TOKEN names a token\n")
        else:
            self._send(200, metrics_text(self.server.gauges), CONTENT_TYPE)

    def _has_token(self) -> bool:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), self.server.token or b"")

    def _is_near(self) -> bool:
        own_name = is_own_name(host_name(self.headers.get("Host", "localhost")))
        loopback = ipaddress.ip_address(self.client_address[0]).is_loopback
        return loopback and own_name and not has_proxy_header(self.headers)

    def _send(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="mezcal"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text: str, *args: object) -> None:
        """Log requests at level DEBUG only."""
        log.debug(text, *args)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
