"""A real Varnish of Debian, in front of a server of a test."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.roles import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARNISH = shutil.which("varnishd", path="/usr/sbin:/usr/bin:/usr/local/sbin")
VCL = """\
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{port}"; .first_byte_timeout = 60s; }}
acl purgers {{ "127.0.0.1"; }}
sub vcl_recv {{
  if (req.method == "PURGE") {{
    if (client.ip !~ purgers) {{ return (synth(405)); }}
    return (purge);
  }}
}}
sub vcl_backend_response {{
  if (beresp.status == 200) {{ set beresp.ttl = 1h; set beresp.grace = 0s; }}
  else {{ set beresp.uncacheable = true; }}
}}
"""


@contextmanager
def varnish(folder: Path, listen: int, backend: int) -> Iterator[str]:
    """Run it at the port *listen* before the server at the port *backend*: it keeps images for an hour. Its URL."""
    assert VARNISH is not None
    folder.mkdir()
    (folder / "default.vcl").write_text(VCL.format(port=backend))
    words = ["-F", "-j", "none", "-n", str(folder / "state"), "-s", "malloc,64m", "-f", str(folder / "default.vcl")]
    with (folder / "varnish.log").open("wb") as log:
        process = subprocess.Popen([VARNISH, *words, "-a", f"127.0.0.1:{listen}"], stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _accepts(listen), 60, "Varnish")
        assert process.poll() is None, (folder / "varnish.log").read_text()
        yield f"http://127.0.0.1:{listen}"
    finally:
        process.terminate()
        process.wait(30)


def port_for_varnish() -> int:
    """Returns a free port."""
    return free_port()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
