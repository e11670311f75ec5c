"""A real object store for tests: moto's server in a separate process, with its objects in memory.

`python -m tests.support.s3_server PORT [plain|early]`; *plain* takes no notice of conditions on writes, as older
servers do; *early* refuses those on deletions.

"""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import requests

from mezcal.settings import load
from tests.support.waiting import until

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.settings import Settings

KEYS = {"AWS_ACCESS_KEY_ID": "an-id-of-the-tests", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests"}


class S3Server:
    """One server on a free port of loopback; what it held is gone when it is started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"s3-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "tests.support.s3_server", str(self.port), *self._options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, 30, "an object store")

    def bucket(self, name: str = "") -> str:
        """Create the bucket *name*, or one with a new name. Returns its name."""
        name = name or f"bucket-{uuid4().hex}"
        answer = self.request("PUT", name)
        assert answer.status_code == 200, answer.text
        return name

    def environment(self, bucket: str, **more: str) -> dict[str, str]:
        """Returns the variables of an installation that keeps its images in *bucket*."""
        return {"STORAGE": "s3", "STORAGE_URL": self.url, "AWS_BUCKET": bucket, **KEYS, **more}

    def settings(self, bucket: str, folder: Path, **given: Any) -> Settings:
        """Returns the settings of a process with *folder* that keeps its images in *bucket*."""
        values: dict[str, Any] = {name.lower(): value for name, value in self.environment(bucket).items()}
        return load(_env_file=None, **{**values, "data_dir": folder, **given})

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send an unsigned request: moto accepts it."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"{self.url}/{path}", timeout=30, **options)

    def signal(self, what: signal.Signals) -> None:
        """Send the process *what*: SIGSTOP makes a store that takes connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(what)

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the object store ended"
        try:
            return self.request("GET", "").ok
        except requests.ConnectionError:
            return False


@contextmanager
def running_s3(folder: Path, *options: str) -> Iterator[S3Server]:
    """A server with its log in *folder*, gone at the end."""
    server = S3Server(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def serve(port: int, *, plain: bool, early: bool) -> None:
    """Answer until killed."""
    from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - in its own process only
    from werkzeug.serving import WSGIRequestHandler, run_simple  # noqa: PLC0415

    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if plain and environ["REQUEST_METHOD"] in {"PUT", "POST", "DELETE"}:
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if early and environ["REQUEST_METHOD"] == "DELETE" and "HTTP_IF_MATCH" in environ:
            start_response("501 Not Implemented", [("Content-Length", "0")])
            return [b""]
        return moto(environ, start_response)

    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # connections are kept, as object stores keep them
    run_simple("127.0.0.1", port, application, threaded=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), plain="plain" in sys.argv[2:], early="early" in sys.argv[2:])
