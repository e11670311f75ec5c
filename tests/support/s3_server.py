"""A real object store for tests: moto's server in a separate process, with its objects in memory.

`python -m tests.support.s3_server HOST PORT [OPTION ..]`. *plain* takes no notice of conditions on writes, as older
servers do; *early* refuses those on deletions; *ceph* honours those of a plain PUT alone, and tags only without quotes;
*lean* lists no multipart uploads; *closed* has no CORS rule. `S3Server.refuse` makes any of them refuse requests.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from uuid import uuid4

import requests
from botocore.session import Session

from mezcal.settings import load
from tests.support.waiting import START, until

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.settings import Settings

CHANGES = {"PUT", "POST", "DELETE"}
KEYS = {"AWS_ACCESS_KEY_ID": "an-id-of-the-tests", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests"}


CONTROL, SEEN = "-/refuse", "-/seen"
SEEN_MAX = 10_000  # requests that are remembered
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class SeenRequest:
    """One request as it arrived; *path* is decoded, names of *headers* are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


class S3Server:
    """One server on a free port of *host*; what it held is gone when it is started again."""

    def __init__(self, folder: Path, *options: str, host: str = "127.0.0.1") -> None:
        self._options, self._host = options, host
        with socket.create_server((host, 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self.log = folder / f"s3-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.keys: dict[str, dict[str, str]] = {}

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "tests.support.s3_server", self._host, str(self.port), *self._options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, START, "an object store")

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

    def refuse(self, methods: str = "", count: int = 1_000_000, *, every: int = 1, **headers: str) -> None:
        """Answer the next *count* requests with *methods*, or each *every*-th one, by 503 SlowDown and *headers*."""
        query = {"methods": methods, "count": str(count), "every": str(every), **headers}
        assert self.request("POST", CONTROL, params=query).ok

    def seen(self, path: str = "") -> list[SeenRequest]:
        """Returns the signed requests whose path begins with *path*, in the order of their arrival."""
        requests = [SeenRequest(**each) for each in self.request("GET", SEEN).json()]
        return [each for each in requests if each.path.startswith(path) and "authorization" in each.headers]

    def enforce_keys(self) -> None:
        """From now on check signatures, and the rights of keys, as `add_key` gives them."""
        assert self.request("POST", "moto-api/reset-auth", data="0").ok

    def add_key(self, user: str, *statements: dict[str, Any]) -> None:
        """Create *user* with the rights of these policy *statements*; `keys` has the settings with the key.

        Call it before `enforce_keys`.
        """
        allowed = [{"Effect": "Allow", **each} for each in statements]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        with closing(self.client("iam", *KEYS.values())) as iam:
            iam.create_user(UserName=user)
            iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=policy)
            key = iam.create_access_key(UserName=user)["AccessKey"]
        self.keys[user] = {"repo_username": key["AccessKeyId"], "repo_password": key["SecretAccessKey"]}

    def client(self, service: str, key_id: str, secret: str) -> Any:
        """Returns botocore's client for a *service* of the server. Close it."""
        session = Session()
        session.set_credentials(key_id, secret)
        return session.create_client(service, "us-east-1", endpoint_url=self.url)

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
def running_s3(folder: Path, *options: str, host: str = "127.0.0.1") -> Iterator[S3Server]:
    """A server with its log in *folder*, gone at the end."""
    server = S3Server(folder, *options, host=host)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Refusals:
    """Which requests are refused with 503 SlowDown, as `S3Server.refuse` says."""

    def __init__(self) -> None:
        self._left, self._methods, self._every, self._seen = 0, "", 1, 0
        self._headers: list[tuple[str, str]] = []

    def set(self, query: dict[str, str]) -> None:
        """Begin anew."""
        self._left, self._every, self._seen = int(query.pop("count")), int(query.pop("every")), 0
        self._methods = query.pop("methods")
        self._headers = [(name.replace("_", "-"), value) for name, value in query.items()]

    def headers(self, method: str) -> list[tuple[str, str]] | None:
        """Returns the headers of a refusal, None if the request is answered."""
        if not self._left or (self._methods and method not in self._methods.split()):
            return None
        self._seen += 1
        if self._seen % self._every:
            return None
        self._left -= 1
        return self._headers


def serve(host: str, port: int, options: list[str]) -> None:
    """Answer until killed."""
    from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - in its own process only
    from werkzeug.serving import WSGIRequestHandler, run_simple  # noqa: PLC0415

    moto, refusals = DomainDispatcherApplication(create_backend_app), Refusals()
    seen: deque[dict[str, Any]] = deque(maxlen=SEEN_MAX)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        if environ["PATH_INFO"] == f"/{CONTROL}":
            refusals.set(dict(parse_qsl(query, keep_blank_values=True)))
            start_response("204 No Content", [])
            return [b""]
        if environ["PATH_INFO"] == f"/{SEEN}":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(list(seen)).encode()]
        seen.append(as_seen(environ))
        headers = refusals.headers(method)
        if headers is not None:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = b"" if method == "HEAD" else SLOW_DOWN
            start_response("503 Slow Down", [*headers, ("Content-Length", str(len(body)))])
            return [body]
        status = lesser(environ, method, query, options)
        if status:
            start_response(status, [("Content-Length", "0")])
            return [b""]
        return moto(environ, start_response)

    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # connections are kept, as object stores keep them
    run_simple(host, port, application, threaded=True)


def as_seen(environ: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of the request's `SeenRequest`."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    query = environ.get("QUERY_STRING", "")
    return {"method": environ["REQUEST_METHOD"], "path": path, "query": query, "headers": headers}


def lesser(environ: dict[str, Any], method: str, query: str, options: list[str]) -> str:
    """Take from a request what a lesser server ignores. Returns the status with which it refuses it, mostly none."""
    if "lean" in options and method == "GET" and "uploads" in query.split("&"):
        return "501 Not Implemented"
    if "early" in options and method == "DELETE" and "HTTP_IF_MATCH" in environ:
        return "501 Not Implemented"
    if "closed" in options and method == "OPTIONS":
        return "403 Forbidden"
    copy_or_delete = method != "PUT" or "HTTP_X_AMZ_COPY_SOURCE" in environ
    if ("plain" in options and method != "GET") or ("ceph" in options and method in CHANGES and copy_or_delete):
        for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_X_AMZ_COPY_SOURCE_IF_MATCH"):
            environ.pop(name, None)
    elif "ceph" in options and method == "PUT" and "HTTP_IF_MATCH" in environ:
        tag = environ["HTTP_IF_MATCH"]
        environ["HTTP_IF_MATCH"] = '"never"' if tag.startswith('"') else f'"{tag}"'
    return ""


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
