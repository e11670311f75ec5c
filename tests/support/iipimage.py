"""IIPImage with nginx in front of it, as deploy/nginx/iipimage.conf has it, for a running installation."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from mezcal.runtime.nginx import nginx
from tests import ROOT
from tests.support.roles import free_port
from tests.support.waiting import until
from tools.check_nginx import has_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.installation import Installation

PLACES = ("iipsrv.fcgi", "/usr/lib/iipimage-server/iipsrv.fcgi")
IIPSRV = next(filter(None, map(shutil.which, PLACES)), None)
NGINX = """daemon off;
pid "{run}/nginx.pid";
error_log "{run}/nginx.log";
worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path "{run}/1";
    proxy_temp_path "{run}/2";
    fastcgi_temp_path "{run}/3";
    uwsgi_temp_path "{run}/4";
    scgi_temp_path "{run}/5";
    include "{run}/iipimage.conf";
}}
"""
PROGRAM = nginx()
READY = (
    IIPSRV is not None and PROGRAM is not None and all(has_module(PROGRAM, name) for name in ("auth_request", "sub"))
)
needs_iipimage = pytest.mark.skipif(
    not READY, reason="needs IIPImage, and nginx with auth_request and sub: apt install iipimage-server nginx-light"
)


class ImageFront:
    """nginx at `url`, and IIPImage behind it, which tests may stop and start."""

    def __init__(self, url: str, command: list[str], environment: dict[str, str]) -> None:
        self.url = url
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start_iipimage(self, **changed: str) -> None:
        """Start IIPImage with these environment variables *changed*, and wait until it listens."""
        environment = self._environment | changed
        self._process = subprocess.Popen(self._command, env=environment, stderr=subprocess.DEVNULL)
        until(lambda: _listens(int(self._command[-1].rpartition(":")[2])), 20, "IIPImage")

    def stop_iipimage(self) -> None:
        """Kill it, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def iipimage_crashed(self) -> bool:
        """True if it ended by itself."""
        return self._process is not None and self._process.poll() is not None


@contextmanager
def running_front(installation: Installation, run: Path) -> Iterator[ImageFront]:
    """Run both in front of *installation*, with files in *run*."""
    port, behind = free_port(), free_port()
    mezcal = urlsplit(installation.url)
    text = (ROOT / "deploy" / "nginx" / "iipimage.conf").read_text(encoding="utf-8")
    for shipped, ours in (
        ("server 127.0.0.1:5000;", f"server 127.0.0.1:{mezcal.port};"),
        ("server 127.0.0.1:9000;", f"server 127.0.0.1:{behind};"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("proxy_read_timeout 90s;", "proxy_read_timeout 330s;"),  # the most that WAIT_SECONDS may be, and some
    ):
        assert shipped in text
        text = text.replace(shipped, ours)
    (run / "iipimage.conf").write_text(text, encoding="utf-8")
    (run / "nginx.conf").write_text(NGINX.format(run=run), encoding="utf-8")
    environment = os.environ | {"FILESYSTEM_PREFIX": f"{installation.settings.cache_dir}/", "VERBOSITY": "0"}
    front = ImageFront(f"http://127.0.0.1:{port}", [str(IIPSRV), "--bind", f"127.0.0.1:{behind}"], environment)
    front.start_iipimage()
    web = subprocess.Popen([str(PROGRAM), "-e", "stderr", "-p", str(run), "-c", str(run / "nginx.conf")])
    try:
        until(lambda: _listens(port), 20, "nginx in front of IIPImage")
        yield front
    finally:
        web.terminate()
        web.wait(20)
        front.stop_iipimage()


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0
