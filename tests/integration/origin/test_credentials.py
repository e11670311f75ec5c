"""A credential goes to the origin's own scheme, host and port, and nowhere else."""

from __future__ import annotations

import base64
import os
import socket

import jwt
import pytest

from mezcal.errors import MasterDenied, MasterMissing, OriginFailed, OriginRedirectRefused, UnusableResponse
from mezcal.origin import open_origin
from mezcal.settings import load
from tests.support.origin_server import OriginServer

MASTER = os.urandom(5000)
SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = {"auth_type": "JWT_TOKEN", "jwt_token": "t0k3n"}


@pytest.fixture
def origin():
    with OriginServer() as server:
        server.script("a.tif", body=MASTER)
        yield server


@pytest.fixture
def other_server():
    """A server at another port of the same address."""
    with OriginServer() as server:
        server.script("a.tif", body=MASTER)
        yield server


@pytest.fixture
def repository(origin, tmp_path):
    def make(**settings):
        return open_origin(load(**{"repo_base_url": origin.url, "tmp_dir": tmp_path, "_env_file": None} | settings))

    return make


def fetch(repository, path="a.tif"):
    with repository.open(path) as master:
        return master.file.read()


def sent(server):
    return [request.headers.get("authorization") for request in server.seen()]


def test_without_a_credential_none_is_sent(origin, repository):
    assert fetch(repository()) == MASTER
    assert sent(origin) == [None]


def test_a_user_name_and_password_are_sent_as_basic(origin, repository):
    fetch(repository(auth_type="BASIC", repo_username="é", repo_password="pass:word"))
    assert sent(origin) == ["Basic " + base64.b64encode("é:pass:word".encode()).decode()]


def test_a_token_is_sent_as_bearer(origin, repository):
    fetch(repository(jwt_token="t0k3n"))
    assert sent(origin) == ["Bearer t0k3n"]


def test_a_secret_signs_the_claims_fedora_expects(origin, repository):
    fetch(repository(auth_type="JWT_SECRET", jwt_secret=SECRET))
    claims = jwt.decode(sent(origin)[0].removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["iss"], claims["role"]) == ("mezcal", "fcrepo", "fedoraAdmin")
    assert claims["exp"] > claims["iat"]


def test_a_wrong_credential_is_denied(origin, repository):
    origin.script("a.tif", body=MASTER, authorization="Bearer other")
    with pytest.raises(MasterDenied):
        fetch(repository(**TOKEN))


def test_netrc_and_proxy_variables_are_not_read(origin, repository, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert fetch(repository()) == MASTER
    assert sent(origin) == [None]


def test_a_redirect_on_the_origin_itself_keeps_the_credential(origin, repository):
    origin.script("old.tif", redirect="a.tif")
    assert fetch(repository(**TOKEN), "old.tif") == MASTER
    assert sent(origin) == ["Bearer t0k3n"] * 2


@pytest.mark.parametrize("form", ["http://127.0.0.1:{port}/rest/a.tif", "//127.0.0.1:{port}/rest/a.tif"])
def test_a_redirect_to_another_port_is_not_followed(origin, other_server, repository, form):
    origin.script("old.tif", redirect=form.format(port=other_server.port))
    with pytest.raises(OriginRedirectRefused, match=str(other_server.port)):
        fetch(repository(**TOKEN), "old.tif")
    assert other_server.count() == 0


def test_a_redirect_to_another_host_is_not_followed(origin, other_server, repository):
    origin.script("old.tif", redirect=f"http://localhost:{other_server.port}/rest/a.tif")
    with pytest.raises(OriginRedirectRefused):
        fetch(repository(**TOKEN), "old.tif")
    assert other_server.count() == 0


@pytest.mark.parametrize("allowed", ["localhost", "cdn, LOCALHOST:{port}"])
def test_a_redirect_to_an_allowed_host_is_followed_without_the_credential(origin, other_server, repository, allowed):
    origin.script("old.tif", redirect=f"http://localhost:{other_server.port}/rest/a.tif")
    hosts = allowed.format(port=other_server.port)
    assert fetch(repository(**TOKEN, origin_redirect_hosts=hosts), "old.tif") == MASTER
    assert sent(other_server) == [None]


# The same address in every form in which it can be written, and URLs that only look like the origin's.
DISGUISED = [
    *("http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://017700000001:{port}/", "http://127.1:{port}/"),
    *("http://0177.0.0.1:{port}/", "http://127.0.0.1.:{port}/", "http://0:{port}/", "http://0.0.0.0:{port}/"),
    *("http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/"),
    *(
        "http://user@127.0.0.1:{home}/",
        "http://user:pass@127.0.0.1:{port}/",
        "http://127.0.0.1:{home}@localhost:{port}/",
    ),
    *("http://127.0.0.1:{home}\\@localhost:{port}/", "http://localhost:{port}#@127.0.0.1:{home}/"),
    *("http://localhost:{port}?@127.0.0.1:{home}/", "\\\\localhost:{port}/", "///localhost:{port}/"),
    *("http://127.0.0.1:{home}.localhost:{port}/", "http://①②⑦.0.0.1:{port}/", "http:\t//localhost:{port}/"),
]


@pytest.mark.parametrize("form", DISGUISED)
def test_no_disguised_address_is_followed(origin, other_server, repository, form):
    origin.script("old.tif", redirect=form.format(port=other_server.port, home=origin.port) + "rest/a.tif")
    with pytest.raises((OriginRedirectRefused, UnusableResponse, OriginFailed, MasterMissing)):
        fetch(repository(**TOKEN, origin_retries=0, origin_redirect_hosts="cdn.example"), "old.tif")
    assert other_server.count() == 0


@pytest.mark.parametrize(
    "form", ["http://2130706433:{port}/", "http://127.1:{port}/", "http://[::ffff:7f00:1]:{port}/"]
)
def test_an_address_that_is_allowed_is_so_in_its_own_form_alone(origin, other_server, repository, form):
    origin.script("old.tif", redirect=form.format(port=other_server.port) + "rest/a.tif")
    with pytest.raises(OriginRedirectRefused):
        fetch(repository(**TOKEN, origin_redirect_hosts=f"127.0.0.1:{other_server.port}"), "old.tif")
    assert other_server.count() == 0


def test_an_origin_at_an_ipv6_address_keeps_its_credential_to_itself(repository):
    with OriginServer(host="::1") as six, OriginServer(host="::1") as other:
        six.script("a.tif", body=MASTER)
        six.script("old.tif", redirect=f"http://[::1]:{other.port}/rest/a.tif")
        six.script("same.tif", redirect=f"http://[0:0:0:0:0:0:0:1]:{six.port}/rest/a.tif")
        origins = repository(**TOKEN, repo_base_url=f"http://[::1]:{six.port}/rest/")
        assert fetch(origins) == MASTER
        assert sent(six) == ["Bearer t0k3n"]
        for path in ("old.tif", "same.tif"):
            with pytest.raises(OriginRedirectRefused):
                fetch(origins, path)
        assert other.count() == 0


@pytest.fixture
def names(monkeypatch):
    """DNS of an attacker: the addresses of each name, one for each query; and the names that were queried."""
    known, queried, real = {}, [], socket.getaddrinfo

    def answer(host, *rest, **more):
        queried.append(host)
        addresses = known.get(host, [host])
        return real(addresses.pop(0) if len(addresses) > 1 else addresses[0], *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known, queried


def test_a_name_that_is_not_allowed_is_not_even_looked_up(origin, other_server, repository, names):
    """So it does not matter where it points now, or a moment later."""
    known, queried = names
    known["rebind.example"] = ["192.0.2.1", "127.0.0.1"]
    origin.script("old.tif", redirect=f"http://rebind.example:{other_server.port}/rest/a.tif")
    with pytest.raises(OriginRedirectRefused):
        fetch(repository(**TOKEN), "old.tif")
    assert "rebind.example" not in queried
    assert other_server.count() == 0


def test_a_name_that_changes_its_address_gets_no_more_than_the_name_may_have(origin, other_server, repository, names):
    """An allowed name is requested wherever it points, but never with the credential."""
    known, _ = names
    known["cdn.example"] = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    origin.script("old.tif", redirect=f"http://cdn.example:{other_server.port}/rest/a.tif")
    origins = repository(**TOKEN, origin_redirect_hosts="cdn.example", origin_retries=0)
    assert fetch(origins, "old.tif") == MASTER
    other_server.script("a.tif", redirect=f"http://127.0.0.1:{origin.port}/rest/none.tif")
    with pytest.raises(MasterMissing):
        fetch(origins, "old.tif")
    assert set(sent(other_server)) == {None}


def test_an_allowed_host_cannot_send_us_on_to_another(origin, other_server, repository):
    origin.script("old.tif", redirect=f"http://localhost:{other_server.port}/rest/on.tif")
    other_server.script("on.tif", redirect="http://127.0.0.2:1/x")
    with pytest.raises(OriginRedirectRefused):
        fetch(repository(**TOKEN, origin_redirect_hosts="localhost"), "old.tif")


def test_a_redirect_loop_ends(origin, repository):
    origin.script("loop", redirect="loop")
    with pytest.raises(UnusableResponse, match="5 times"):
        fetch(repository(), "loop")
    assert origin.count() == 6


@pytest.mark.parametrize("path", ["@127.0.0.1:{port}/a.tif", "@localhost:{port}/rest/a.tif", "\\\\127.0.0.1:{port}\\x"])
def test_no_path_sends_the_credential_elsewhere(origin, other_server, repository, path):
    origins = repository(**TOKEN, repo_base_url=origin.url.removesuffix("/rest/"))
    name = path.format(port=other_server.port)
    origin.script("/" + name, fails=-1, status=404)
    with pytest.raises(Exception, match="404"):
        fetch(origins, name)
    assert other_server.count() == 0


def test_a_tail_fetched_ahead_carries_the_credential_too(origin, repository):
    big = os.urandom(4 * 2**20)
    origin.script("big.tif", body=big, hold_at=1000, authorization="Bearer t0k3n")
    with repository(**TOKEN).open("big.tif") as master:
        master.file.seek(-4, os.SEEK_END)
        assert master.file.read() == big[-4:]
    assert sent(origin) == ["Bearer t0k3n"] * 2
