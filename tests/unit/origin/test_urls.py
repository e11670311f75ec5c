"""URLs of masters: which URL is requested, how a pasted URL is read, where a redirect may lead."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mezcal.errors import BadRecipe
from mezcal.http.urls import normalise_url, resolve_redirect, server_of
from mezcal.origin.urls import join, may_redirect, path_under
from mezcal.recipe.path import plain_path

BASE = "https://repo.example/rest/"
HOME = server_of(BASE)


def plain(path: str) -> bool:
    try:
        return plain_path(path) == path
    except BadRecipe:
        return False


paths = st.text(min_size=1, max_size=60).filter(plain)


@given(paths)
def test_no_path_changes_the_server_or_adds_a_query(path):
    url = normalise_url(join(BASE, path))
    assert server_of(url) == HOME
    parts = urlsplit(url)
    assert parts.path.startswith("/rest/")
    assert not parts.query
    assert not parts.fragment


@given(paths)
def test_the_url_of_a_path_names_that_path_again(path):
    assert path_under(BASE, normalise_url(join(BASE, path))) == path


@pytest.mark.parametrize(
    "path",
    [
        "@evil:81/x",
        "a//b".replace("//", "/"),
        "\\\\evil\\x",
        "x?y=1",
        "x#y",
        "100%",
        "%2e%2e/x",
        "a b",
        "é/漢",
        ":80/x",
    ],
)
def test_odd_names_stay_under_the_base(path):
    url = normalise_url(join(BASE, path))
    assert url.startswith(BASE)
    assert path_under(BASE, url) == path


def test_fedora_names_are_sent_as_they_are():
    assert join(BASE, "dc/2021/2/bb/46:fcr/x~y,z;v=1") == BASE + "dc/2021/2/bb/46:fcr/x~y,z;v=1"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://repo.example/rest/a/b.tif", "a/b.tif"),
        (" HTTPS://REPO.example:443/rest/a%20b.tif\n", "a b.tif"),
        ("https://repo.example/rest/a b.tif", "a b.tif"),
        ("https://repo.example/rest/a#hash", "a"),
        ("https://repo.example/rest/", None),
        ("https://repo.example/rest", None),
        ("https://repo.example/restaurant/a", None),
        ("https://repo.example/rest/a?b", None),
        ("https://repo.example/rest/a%2Fb", None),
        ("https://repo.example:8443/rest/a", None),
        ("http://repo.example/rest/a", None),
        ("https://user@repo.example/rest/a", None),
        ("https://repo.example:port/rest/a", None),
        ("https://[evil/rest/a", None),
        ("//repo.example/rest/a", None),
        ("a/b.tif", None),
        ("", None),
    ],
)
def test_a_pasted_url_names_a_path_only_under_the_base(url, path):
    assert path_under(BASE, url) == path


@pytest.mark.parametrize(
    ("home", "location", "allowed", "followed"),
    [
        ("http://repo/rest/", "/other", (), True),
        ("http://repo/rest/", "b.tif", (), True),
        ("http://repo/rest/", "https://repo/rest/b", (), True),
        ("http://repo:8080/rest/", "https://repo/rest/b", (), True),
        ("https://repo/rest/", "http://repo/rest/b", (), False),
        ("https://repo/rest/", "http://cdn/b", ("cdn",), False),
        ("http://repo/rest/", "http://repo:6379/b", (), False),
        ("http://repo/rest/", "http://repo:6379/b", ("repo:6379",), True),
        ("http://repo/rest/", "https://cdn:9000/b", ("cdn",), True),
        ("http://repo/rest/", "https://cdn/b", ("cdn:443",), True),
        ("http://repo/rest/", "https://cdn/b", ("cdn:9000",), False),
        ("http://repo/rest/", "//evil/b", (), False),
        ("http://repo/rest/", "http://repo@evil/b", (), False),
        ("http://repo/rest/", "http://evil\\@repo/b", (), False),
        ("http://repo/rest/", "http://repo.evil/b", (), False),
        ("http://repo/rest/", "http://me:secret@repo/b", (), False),
        ("http://repo/rest/", "http://169.254.169.254/latest", ("cdn",), False),
    ],
)
def test_redirects_stay_with_the_origin_or_the_hosts_allowed(home, location, allowed, followed):
    target = resolve_redirect(home + "a", location)
    assert may_redirect(server_of(home), home + "a", target, frozenset(allowed)) is followed


@pytest.mark.parametrize("location", ["ftp://repo/x", "file:///etc/passwd", "javascript:x", "http://[::1/x"])
def test_a_redirect_to_what_is_no_http_url_leads_nowhere(location):
    assert resolve_redirect("http://repo/rest/a", location) is None


def test_a_location_in_utf8_is_understood():
    assert resolve_redirect("http://repo/a", "/é".encode().decode("latin-1")) == "http://repo/%C3%A9"
