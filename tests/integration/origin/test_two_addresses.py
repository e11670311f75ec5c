"""A repository with two addresses: the public one names masters, the internal one is asked."""

from __future__ import annotations

import os

import pytest

from mezcal.checks.origins import origin_checks
from mezcal.errors import OriginRedirectRefused
from mezcal.origin import MasterStatus, open_origin
from mezcal.settings import WrongSetting, load
from tests.support.origin_server import OriginServer

MASTER = os.urandom(5000)
PUBLIC = "https://repository.example.edu:8443/fcrepo/rest/"
FORWARDED = {"x-forwarded-host": "repository.example.edu:8443", "x-forwarded-proto": "https"}


@pytest.fixture
def internal():
    with OriginServer() as server:
        server.script("a b/1.tif", body=MASTER, etag='"1"')
        yield server


@pytest.fixture
def settings(internal, tmp_path):
    def make(**more):
        given = {"repo_base_url": PUBLIC, "repo_internal_url": internal.url, "jwt_token": "t0k3n", "tmp_dir": tmp_path}
        return load(_env_file=None, **given | more)

    return make


def marks(request):
    wanted = ("authorization", *FORWARDED)
    return {name: value for name, value in request.headers.items() if name in wanted}


def test_a_master_is_named_by_the_public_address_and_asked_for_at_the_internal_one(internal, settings):
    origin = open_origin(settings())
    assert origin.base_url == PUBLIC
    assert origin.path_of(f"{PUBLIC}a%20b/1.tif") == "a b/1.tif"
    assert origin.path_of(f"{internal.url}a%20b/1.tif") is None, "the internal address is nobody's name for a master"
    with origin.open("a b/1.tif") as master:
        assert master.file.read() == MASTER
        assert master.source == f"{PUBLIC}a%20b/1.tif"
    assert [marks(request) for request in internal.seen()] == [{"authorization": "Bearer t0k3n", **FORWARDED}]


def test_a_master_is_revalidated_at_the_internal_address(internal, settings):
    assert open_origin(settings()).revalidate("a b/1.tif", '"1"', None) is MasterStatus.UNCHANGED
    assert [marks(request) for request in internal.seen()] == [{"authorization": "Bearer t0k3n", **FORWARDED}]


def test_a_redirect_to_the_public_address_is_followed_at_the_internal_one(internal, settings):
    internal.script("old.tif", redirect=f"{PUBLIC}a%20b/1.tif")
    with open_origin(settings()).open("old.tif") as master:
        assert master.file.read() == MASTER
    assert [marks(request) for request in internal.seen()] == [{"authorization": "Bearer t0k3n", **FORWARDED}] * 2


def test_another_host_gets_neither_the_credential_nor_the_forwarded_names(internal, settings):
    with OriginServer() as other:
        other.script("a.tif", body=MASTER)
        internal.script("old.tif", redirect=f"{other.url}a.tif")
        with open_origin(settings(origin_redirect_hosts=f"127.0.0.1:{other.port}")).open("old.tif") as master:
            assert master.file.read() == MASTER
        assert [marks(request) for request in other.seen()] == [{}]


def test_the_public_host_beside_the_base_is_another_host(internal, settings):
    internal.script("old.tif", redirect="https://repository.example.edu:8443/elsewhere/1.tif")
    with (
        pytest.raises(OriginRedirectRefused, match=r"repository\.example\.edu"),
        open_origin(settings()).open("old.tif"),
    ):
        pass


def test_one_address_sends_no_forwarded_names(internal, settings):
    with open_origin(settings(repo_base_url=internal.url, repo_internal_url=None)).open("a b/1.tif") as master:
        master.file.read()
    assert [marks(request) for request in internal.seen()] == [{"authorization": "Bearer t0k3n"}]


def test_the_check_asks_the_internal_address(internal, settings):
    internal.script("", body=b"")
    assert origin_checks(settings())[0].run().detail.startswith(internal.url)


def test_a_wrong_internal_address_is_named(settings):
    with pytest.raises(WrongSetting, match="REPO_INTERNAL_URL contains a user name"):
        open_origin(settings(repo_internal_url="http://me:secret@internal/"))
