"""The whole machine behind nginx: hits without the API, files that the API names, errors of nginx itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mezcal.recipe import Mezzanine
from mezcal.runtime.nginx import NginxConfig, configuration, nginx
from mezcal.settings import load
from mezcal.store import LocalStore
from tests.integration.conftest import TOKEN
from tests.support.installation import ONE_WORKER, SAMPLES, running_installation
from tests.support.proc import runs
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

WARM = "maps/valley.tif"
VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = BEARER | {"Content-Type": "application/json"}
CONNECTION = {"Date", "Server", "Connection", "Keep-Alive", "X-Request-ID"}


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if nginx() is None:
        assert "CI" not in os.environ, "nginx is missing"
        pytest.skip("there is no nginx here")


@pytest.fixture(scope="module")
def proxied(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running_installation(
        tmp_path_factory.mktemp("nginx"), repository.url, *ONE_WORKER, "--nginx", "always", API_TOKENS=TOKEN
    ) as up:
        yield up


@pytest.fixture(scope="module")
def trusting(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Without tokens; the last test of this file is its end."""
    with running_installation(
        tmp_path_factory.mktemp("trusting"), repository.url, *ONE_WORKER, "--nginx", "always"
    ) as up:
        yield up


def api_of(installation: Installation) -> str:
    """Where the API itself listens, behind nginx."""
    conf = (installation.settings.data_dir / "run" / "nginx" / "nginx.conf").read_text()
    return "http://" + conf.partition("upstream mezcal_api {\n        server ")[2].partition(";")[0]


def headers_of(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in CONNECTION}


def test_the_entity_tag_is_the_one_the_api_would_give(proxied: Installation) -> None:
    stored = proxied.stored(WARM) or (proxied.ask(WARM) and proxied.stored(WARM))
    assert stored is not None
    assert proxied.ask(WARM).headers["ETag"] == stored.etag


@contextmanager
def frozen_api(proxied: Installation) -> Iterator[None]:
    """Stop the API's processes during the block: what is answered is nginx's."""
    stopped = proxied.pids("gunicorn")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_a_hit_needs_no_api(proxied: Installation) -> None:
    proxied.ask(WARM)
    with frozen_api(proxied):
        assert proxied.ask(WARM).status_code == 200
        assert proxied.request(f"/mezzanine/{WARM}.jpg", "HEAD").status_code == 200


def test_a_hit_in_another_profile_needs_no_api(proxied: Installation, master: str) -> None:
    made = proxied.request(f"/derivatives/pyramid/{master}.tif")
    assert made.headers["Cache-Status"] == "mezcal; fwd=miss"
    proxied.ask(master)
    with frozen_api(proxied):
        pyramid = proxied.request(f"/derivatives/pyramid/{master}.tif")
        ranges = {"Range": f"bytes=0-3,8-15,{len(made.content) - 4}-"}
        parts = proxied.request(f"/derivatives/pyramid/{master}.tif", headers=ranges)
        jpeg, same = proxied.request(f"/derivatives/mezzanine/{master}.jpg"), proxied.ask(master)
    assert {**headers_of(made), "Cache-Status": ""} == {**headers_of(pyramid), "Cache-Status": ""}
    assert pyramid.headers["Content-Type"] == "image/tiff"
    assert pyramid.content == made.content
    assert parts.status_code == 206
    assert parts.content.count(b"Content-Type: image/tiff\r\n") == 3
    assert headers_of(jpeg) == headers_of(same)
    assert jpeg.content == same.content
    assert proxied.request(f"/derivatives/pyramid/{master}.jpg").status_code == 404
    assert proxied.request(f"/derivatives/none/{master}.tif").status_code == 404


def test_a_miss_waits_and_is_then_sent_by_nginx(proxied: Installation, repository: OriginServer, master: str) -> None:
    cold, warm = proxied.ask(master), proxied.ask(master)
    assert (cold.headers["Cache-Status"], warm.headers["Cache-Status"]) == ("mezcal; fwd=miss", "mezcal; hit")
    assert {**headers_of(cold), "Cache-Status": ""} == {**headers_of(warm), "Cache-Status": ""}
    assert cold.content == warm.content
    assert repository.count(master) == 1


def test_a_deleted_image_is_gone_at_once(proxied: Installation, repository: OriginServer, master: str) -> None:
    proxied.ask(master)
    assert proxied.ask(master, "DELETE").status_code == 401
    assert proxied.ask(master, "DELETE", headers=BEARER).status_code == 204
    assert proxied.ask(master).headers["Cache-Status"] == "mezcal; fwd=miss"
    assert repository.count(master) == 2


@pytest.mark.parametrize(
    "name", ["100%.tif", "what?.tif", "a b#c.tif", "naïve/東京.tif", "semi;colon&.tif", "a@b:80/c", "$named.tif"]
)
def test_any_name_is_looked_up_as_it_is(proxied: Installation, repository: OriginServer, name: str) -> None:
    name = f"odd/{name}"
    repository.script(name, body=VALLEY)
    for status in ("mezcal; fwd=miss", "mezcal; hit"):
        assert proxied.ask(quote(name)).headers["Cache-Status"] == status
        assert proxied.request(f"/mezzanine/{quote(name)}.jpg").status_code == 200


@pytest.mark.parametrize(
    "name", ["x/image.jpg", "x/image.json", "x/pyramid.tif", "x.lock", "x.lock/y", ".mezcal/y", "n" * 300]
)
def test_what_the_store_keeps_elsewhere_comes_from_there(
    proxied: Installation, repository: OriginServer, name: str
) -> None:
    """Nginx does not serve a file of umd-lib/mezcal that is at the image's path."""
    planted = proxied.settings.cache_dir / name / "image.jpg"
    if len(name) < 255:
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.write_bytes(b"another's")
    repository.script(name, body=VALLEY, content_type="image/tiff")
    assert proxied.ask(name).content == proxied.ask(name).content
    assert proxied.ask(name).content.startswith(b"\xff\xd8")
    assert repository.count(name) == 1


def test_a_link_in_the_place_of_an_image_is_made_again_and_not_followed(
    proxied: Installation, repository: OriginServer, master: str, tmp_path: Path
) -> None:
    whole = proxied.ask(master).content
    stored = proxied.stored(master)
    assert stored is not None
    (tmp_path / "secret").write_bytes(b"\xff\xd8 another's \xff\xd9")
    stored.path.unlink()
    stored.path.symlink_to(tmp_path / "secret")
    again = proxied.ask(master)
    assert (again.content, again.headers["Cache-Status"]) == (whole, "mezcal; fwd=miss")
    assert proxied.ask(master).headers["Cache-Status"] == "mezcal; hit"
    assert repository.count(master) == 2


def test_a_folder_of_the_store_may_be_a_link(
    proxied: Installation, repository: OriginServer, master: str, tmp_path: Path
) -> None:
    """Operators spread large caches over several disks."""
    proxied.ask(master)
    stored = proxied.stored(master)
    assert stored is not None
    folder = stored.path.parent
    folder.rename(tmp_path / "disk")
    folder.symlink_to(tmp_path / "disk")
    with frozen_api(proxied):
        assert proxied.ask(master).status_code == 200
    assert repository.count(master) == 1


def test_what_nginx_cannot_do_now_is_a_503(proxied: Installation) -> None:
    """As without its folder, it cannot store a body on a full disk; and it cannot open an image without descriptors."""
    bodies = proxied.settings.data_dir / "run" / "nginx" / "body"
    bodies.rename(bodies.with_name("away"))
    try:
        answer = proxied.request("/jobs", "POST", data=b" " * 100_000, headers=JSON)
    finally:
        bodies.with_name("away").rename(bodies)
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert (answer.headers["Retry-After"], answer.headers["Cache-Control"]) == ("1", "no-store")


def test_a_query_is_never_answered_from_the_plain_file(proxied: Installation) -> None:
    proxied.ask(WARM)
    assert proxied.ask(WARM + "?page=1").status_code == 200
    assert LocalStore(proxied.settings.cache_dir, proxied.settings.storage_layout).find(Mezzanine.parse(WARM, 1))
    assert proxied.ask(WARM + "?page=0").status_code == 400


@pytest.mark.parametrize(
    "target",
    [
        "/images/../data/x",
        "/images/maps/../maps/valley.tif",
        "/images/maps/./valley.tif",
        "/images/maps//valley.tif",
        "/images//maps/valley.tif",
        "/images/maps/valley.tif/",
        "/images/%2e%2e/x",
        "/images/maps/%2e%2e/maps/valley.tif",
        "/images/maps/%2E/valley.tif",
        "/mezzanine/maps/../maps/valley.tif.jpg",
        "/images/a%00b",
        "/images/.mezcal/../maps/valley.tif",
    ],
)
def test_no_path_that_climbs_is_answered_with_an_image(proxied: Installation, target: str) -> None:
    proxied.ask(WARM)
    place = urlsplit(proxied.url)
    with socket.create_connection((str(place.hostname), place.port)) as line:
        line.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert line.recv(4096).split(b" ")[1] in {b"400", b"404"}


def test_the_files_behind_x_accel_redirect_are_not_to_be_asked_for(proxied: Installation) -> None:
    proxied.ask(WARM)
    answer = proxied.request(f"/.stored/{WARM}/image.jpg")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store")


def test_the_other_pages_come_through(proxied: Installation) -> None:
    assert proxied.request("/readyz").json()["status"] == "ok"
    assert "text/html" in proxied.request("/").headers["Content-Type"]
    assert proxied.request("/images/").headers["Content-Type"] == "application/problem+json"


def test_a_list_of_ten_thousand_long_names_comes_through(proxied: Installation) -> None:
    names = "\n".join(f"{number:0200}.tif" for number in range(10_000)).encode()
    assert len(names) > 2_000_000
    accepted = proxied.request("/jobs", "POST", data=names, headers=BEARER | {"Content-Type": "text/plain"})
    assert (accepted.status_code, accepted.json()["items"]) == (202, 10_000)


def listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def bare(folder: Path, api: str, user: str | None = None, *, trusted: bool = True, **given: str) -> Iterator[str]:
    """Start nginx in front of the server at *api*, for which it waits a second. Yields its URL.

    As root, it reads files as *user*, else as nginx's default user.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = NginxConfig(f"127.0.0.1:{port}", api, folder, trusted=trusted, user=user)
    conf = configuration(load(_env_file=None, data_dir=folder, **given), config)
    (folder / "nginx.conf").write_text(re.sub("proxy_read_timeout [^;]+", "proxy_read_timeout 1s", conf))
    words = [str(nginx()), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), what="nginx")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_no_cache_may_keep_an_error_that_nginx_makes_itself(tmp_path: Path) -> None:
    """The API is down; it is frozen; the body is too large; the request is not valid HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stands_still = f"127.0.0.1:{silent.getsockname()[1]}"
        with bare(tmp_path, stands_still) as url:
            slow = requests.get(f"{url}/images/a.tif", timeout=10)
            large = requests.post(f"{url}/jobs", headers={"Content-Length": str(1 << 40)}, timeout=10)
            long = requests.get(f"{url}/images/{'a' * 20_000}", timeout=10)
    with bare(tmp_path, stands_still) as url:
        gone = requests.get(f"{url}/images/a.tif", timeout=10)
    answers = [gone, slow, large, long]
    assert [answer.status_code for answer in answers] == [502, 504, 413, 414]
    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store"] * 4
    assert [answer.headers["Content-Type"] for answer in answers] == ["application/problem+json"] * 4


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}, {"If-None-Match": '"other"'}])
def test_no_cache_may_keep_the_error_of_a_file_that_is_gone(
    proxied: Installation, tmp_path: Path, headers: dict[str, str], *, readable: bool
) -> None:
    """The API behind this nginx names a file that this nginx does not find, or may not read."""
    proxied.ask(WARM)
    file = tmp_path / "cache" / WARM / "image.jpg"
    file.parent.mkdir(parents=True)
    if not readable:
        file.touch(mode=0)  # and root's nginx reads as a user who may not enter the test's folder
    user = "root" if readable and os.geteuid() == 0 else None
    with bare(tmp_path, api_of(proxied).removeprefix("http://"), user) as url:
        targets = [f"{url}/images/{WARM}", f"{url}/images/{WARM}?any=1", f"{url}/mezzanine/{WARM}.jpg"]
        for target, method in product(targets, ["GET", "HEAD"]):
            answer = requests.request(method, target, headers=headers, timeout=10)
            assert answer.status_code == 503
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Retry-After"]
            assert method == "HEAD" or answer.json()["status"] == 503


def sent(url: str, method: str, target: str, client: str = "127.0.0.1", **fields: str) -> int:
    """Send one request from the address *client* with these header fields alone. Returns the status."""
    place = urlsplit(url)
    connection = HTTPConnection(str(place.hostname), place.port, timeout=60, source_address=(client, 0))
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": place.netloc, **fields}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_wrong_tokens_of_one_client_behind_nginx_do_not_lock_out_another(proxied: Installation, tmp_path: Path) -> None:
    """As for clients of other machines: nginx tells the API their addresses, whatever they claim."""
    api, right = api_of(proxied).removeprefix("http://"), f"Bearer {TOKEN}"
    with bare(tmp_path, api, trusted=False) as url:
        guesses = [
            sent(
                url,
                "DELETE",
                "/images/x.tif",
                "127.0.0.2",
                Authorization="Bearer x",
                X_Forwarded_For=f"192.0.2.{number}",
            )
            for number in range(60)  # each API process counts by itself
        ]
        assert (guesses[0], guesses[-1]) == (401, 429)
        assert sent(url, "DELETE", "/images/x.tif", Authorization="Bearer x") == 401
        assert sent(url, "DELETE", "/images/x.tif", Authorization=right) == 204
        assert requests.post(f"{url}/ops/sign-in", data={"token": TOKEN}, allow_redirects=False, timeout=60).ok
        assert sent(url, "DELETE", "/images/x.tif", "127.0.0.2", Authorization=right) == 204


@pytest.mark.parametrize(
    "target", [f"/images/{WARM}", f"/mezzanine/{WARM}.jpg", "/images/none.tif", "/", "/jobs", "/ops"]
)
def test_a_page_whose_name_points_to_this_machine_reads_nothing(
    proxied: Installation, alone: Installation, target: str
) -> None:
    """DNS rebinding: nginx' hits, the hits of the API alone, and all other routes."""
    for one in (proxied, alone):
        one.ask(WARM)
        answer = one.request(target, headers={"Host": f"evil.example:{urlsplit(one.url).port}"})
        assert (answer.status_code, answer.headers["Cache-Control"]) == (421, "no-store")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert {"PUBLIC_URL", "ALLOWED_HOSTS"} <= set(answer.json()["detail"].split())
        for host in ("localhost", "LOCALHOST:80", "127.0.0.1", "127.8.9.10:5000", "[::1]:5000"):
            assert one.request(target, headers={"Host": host}).status_code != 421
    assert sent(api_of(proxied), "GET", target, Host="evil.example") == 421


def test_a_client_without_a_host_is_no_browser(proxied: Installation) -> None:
    """Such as the health checks of some proxies."""
    place = urlsplit(proxied.url)
    with socket.create_connection((str(place.hostname), place.port)) as line:
        line.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert line.recv(4096).split(b" ")[1] == b"200"


def test_the_names_of_the_settings_are_answered_by_nginx_too(tmp_path: Path) -> None:
    """The API is down: 502 is the answer to a request that nginx would pass on."""
    long = "a" * 60 + ".images.example"
    names = {"allowed_hosts": f"images.example,2001:db8::1,{long}", "public_url": "https://b\u00fccher.example:8443/x"}
    known = ["images.example", "IMAGES.EXAMPLE.:80", long, "[2001:db8::1]:80", "xn--bcher-kva.example", "localhost"]
    with bare(tmp_path, "127.0.0.1:1", **names) as url:
        assert [sent(url, "GET", "/images/x", Host=name) for name in known] == [502] * len(known)
        for host in ("evil.example", "images.example.evil.example", "127.0.0.1.evil.example", "x.localhost"):
            assert sent(url, "GET", "/images/x", Host=host) == 421
    with bare(tmp_path, "127.0.0.1:1") as url:
        assert sent(url, "GET", "/images/x", Host="api:5000") == 502


def test_a_name_that_ends_in_a_line_feed_is_not_the_one_without(proxied: Installation) -> None:
    proxied.ask(WARM)
    assert proxied.ask(f"{WARM}%0a").status_code == 400
    assert proxied.ask(f"{WARM}%0A").status_code == 400
    assert proxied.request(f"/mezzanine/{WARM}.jpg%0a").status_code in {400, 404}


PIECES = [
    ".",
    "..",
    "a",
    "/",
    ";",
    "%3b",
    "\\",
    "%5C",
    "%2e",
    "%2F",
    "%20",
    "%0a",
    "%00",
    "%7f",
    "%25",
    "%c2%85",
    "2e",
    "%32%65",
]
odd_targets = st.tuples(
    st.sampled_from(
        [
            *(("/images/", ""), ("/mezzanine/", ".jpg"), ("/mezzanine/", ".jp%67"), ("/mezzanine/", "%2ejpg")),
            *(
                ("/derivatives/pyramid/", ".tif"),
                ("/derivatives/pyramid/", ".ti%66"),
                ("/derivatives/mezzanine/", ".jpg"),
            ),
        ]
    ),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example((("/mezzanine/", ".jpg"), "a/.."))
@example((("/mezzanine/", ".jp%67"), "a/.."))
@example((("/derivatives/pyramid/", ".tif"), "a/.."))
@example((("/images/", ""), "a/..;/a"))
@example((("/images/", ""), "a;a"))
@example((("/images/", ""), "a%0a"))
@example((("/images/", ""), "a/%252e"))
@example((("/images/", ""), "a/%25%32%65"))
@given(odd_targets)
def test_nginx_and_the_api_agree_on_every_odd_path(proxied: Installation, target: tuple[tuple[str, str], str]) -> None:
    """Wherever nginx could look for it, there is an image: it must not be sent where the API refuses the path."""
    (prefix, end), path = target
    plant(proxied.settings.cache_dir, unquote(path))
    statuses = [status_of(url, prefix + path + end) for url in (proxied.url, api_of(proxied))]
    assert statuses[0] == statuses[1]


def plant(store: Path, name: str) -> None:
    """Store an image where the file system finds *name*, if that is within the store."""
    folder = Path(os.path.normpath(f"{store}/{name}")) if "\0" not in name else store
    if folder.is_relative_to(store) and ".mezcal" not in folder.parts:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "image.jpg").write_bytes(b"\xff\xd8 an image")
        (folder / "pyramid.tif").write_bytes(b"II*\0 a pyramid")


def status_of(url: str, target: str) -> int:
    """The status of *target*, sent byte by byte as it is."""
    place = urlsplit(url)
    connection = HTTPConnection(str(place.hostname), place.port, timeout=60)
    try:
        connection.putrequest("GET", target, skip_accept_encoding=True)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_quoted_slash_names_the_same_image_as_a_slash(proxied: Installation, repository: OriginServer) -> None:
    """Cantaloupe's delegates send identifiers with `%2F`: cold and warm, GET, HEAD and DELETE mean one image."""
    quoted, plain = "quoted%2Fslash.tif", "quoted/slash.tif"
    repository.script(plain, body=VALLEY)
    for url in (proxied.url, api_of(proxied)):
        assert status_of(url, f"/images/{quoted}") == 200, "cold"
        assert proxied.ask(plain).headers["Cache-Status"].startswith("mezcal; hit")
        assert requests.head(f"{url}/images/{quoted}", timeout=60).headers["Cache-Status"].startswith("mezcal; hit")
        warm = requests.get(f"{proxied.url}/images/{quoted}", timeout=60)
        assert warm.content == proxied.ask(plain).content
        assert warm.headers["Cache-Status"].startswith("mezcal; hit")
        assert requests.delete(f"{url}/images/{quoted}", headers=BEARER, timeout=60).status_code == 204
        assert not LocalStore(proxied.settings.cache_dir, proxied.settings.storage_layout).find(Mezzanine.parse(plain))
    assert {request.path for request in repository.seen() if "quoted" in request.path} == {plain}


def test_errors_of_the_api_come_through_as_they_are(proxied: Installation) -> None:
    for answer in (proxied.ask("no-such.tif"), proxied.request("/jobs", "POST"), proxied.request("/nothing")):
        assert answer.status_code >= 400
        assert answer.headers["Cache-Control"] == "no-store", "once, not twice"


def test_a_proxy_before_nginx_is_seen_by_the_api(trusting: Installation) -> None:
    """Such a proxy is only visible by its HTTP/1.0, and nginx speaks HTTP/1.1 to the API."""
    place = urlsplit(trusting.url)
    for version, status in (("1.1", b"204"), ("1.0", b"403")):
        with socket.create_connection((str(place.hostname), place.port)) as line:
            head = f"DELETE /images/{WARM} HTTP/{version}\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n"
            line.sendall(head.encode())
            assert line.recv(4096).split(b" ")[1] == status
    assert trusting.ask(WARM, "DELETE", headers={"Via": "1.1 proxy"}).status_code == 403


@pytest.mark.parametrize("layout", ["md5_encoded", "md5_encoded_pairtree"])
def test_the_md5_layouts_are_sent_by_nginx_too(repository: OriginServer, tmp_path: object, layout: str) -> None:
    with running_installation(tmp_path, repository.url, *ONE_WORKER, "--nginx", "always", STORAGE_LAYOUT=layout) as up:  # type: ignore[arg-type]
        up.settings = load(_env_file=None, storage_dir=up.settings.cache_dir, storage_layout=layout)
        for status in ("mezcal; fwd=miss", "mezcal; hit"):
            answer = up.ask(WARM)
            assert answer.headers["Cache-Status"] == status
            stored = up.stored(WARM)
            assert stored is not None
            assert answer.headers["ETag"] == stored.etag
            assert up.ask(WARM, headers={"Range": "bytes=0-9"}).content == answer.content[:10]
            assert up.ask(WARM, headers={"If-None-Match": stored.etag}).status_code == 304


def test_nothing_of_nginx_outlives_a_killed_up(trusting: Installation) -> None:
    masters = trusting.pids("nginx")
    assert len(masters) >= 2
    assert trusting.process is not None
    trusting.process.kill()
    trusting.process.wait()
    until(lambda: not any(map(runs, masters)), 10, "the end of nginx")


def test_a_body_that_is_not_read_costs_the_next_sender_nothing(proxied: Installation) -> None:
    """The API closes a connection after such a body; nginx must not send an event over it."""
    for _ in range(20):
        refused = proxied.request("/webhooks/standard", "POST", data=b" " * (6 << 20), headers=JSON)
        accepted = proxied.request("/jobs", "POST", json=[], headers=JSON)
        assert (refused.status_code, accepted.status_code) == (413, 202)


def test_what_nginx_refuses_has_the_form_of_the_apis_errors(proxied: Installation) -> None:
    """RFC 9457, and no cache may keep it."""
    place = urlsplit(proxied.url)
    with socket.create_connection((place.hostname, place.port), 20) as client:
        client.sendall(f"GET /images/%00 HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert b"no-store" in head
    assert b'"status": 400' in body
