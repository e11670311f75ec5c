"""URLs of masters: which URL is requested, how a pasted URL is read, where a redirect may lead."""

from __future__ import annotations

import re
from functools import reduce
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given, settings
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
        "%41/x",
        "a%2Fb",
        "a%252Fb",
        "a.tif;1",
        "a+b.tif",
        "a..b.tif",
        "...tif",
        ".hidden.tif",
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
    assert join(BASE, "dc/2021/2/bb/46:fcr/x~y,z=1") == BASE + "dc/2021/2/bb/46:fcr/x~y,z=1"


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("a.tif;1", "a.tif%3B1"),  # raw, `;1` would be a parameter of a.tif, and one master had any number of names
        ("a+b", "a%2Bb"),
        ("a\\b", "a%5Cb"),
        ("a%2Fb", "a%252Fb"),
        ("a b?c#d", "a%20b%3Fc%23d"),
        ("100%", "100%25"),
    ],
)
def test_what_a_server_reads_specially_is_escaped(path, sent):
    assert normalise_url(join(BASE, path)) == BASE + sent


def without_parameters(path):
    """Cut each segment at its first `;`, as servlet containers do before they resolve `..`."""
    return re.sub(";[^/]*", "", path)


READINGS = {
    "RFC 3986": [unquote],
    "before decoding": [],
    "Tomcat": [without_parameters, unquote],
    "parameters cut after decoding": [unquote, without_parameters],
    "backslash as separator": [unquote, lambda path: path.replace("\\", "/")],
    "backslash, then parameters": [unquote, lambda path: path.replace("\\", "/"), without_parameters],
    "parameters, then backslash": [unquote, without_parameters, lambda path: path.replace("\\", "/")],
    "decoded twice": [unquote, unquote],
    "decoded twice, with parameters": [unquote, unquote, without_parameters],
    "parameters between two decodings": [unquote, without_parameters, unquote],
    "decoded twice, with backslash": [unquote, unquote, lambda path: path.replace("\\", "/")],
    "Windows": [unquote, lambda path: path.replace("\\", "/"), lambda path: re.sub("[. ]+(?=/|$)", trimmed, path)],
}


def trimmed(dots):
    """Drop the dots and spaces at the end of a segment, as Windows does, but not `.` and `..` themselves."""
    return dots[0] if dots[0] in {".", ".."} else ""


def resolved(path):
    """The segments that are left after `.` and `..` were resolved, as a file system does."""
    left = []
    for segment in path.split("/"):
        if segment == "..":
            left = left[:-1]
        elif segment not in {"", "."}:
            left.append(segment)
    return left


PIECES = [".", "..", ";", "a", "\\", "/", "%2e", "%2E", "%2f", "%5c", "%3b", "%25", "%", "25", "2e", " ", "%00", "é"]
odd_segments = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)


@settings(max_examples=300, deadline=None)
@example("..;/x")
@example("..\\..\\x")
@example("%2e%2e/x")
@example("..%3b/x")
@given(st.one_of(odd_segments, paths))
def test_no_server_reads_a_path_as_one_outside_the_base(path):
    if not plain(path):
        return
    sent = urlsplit(normalise_url(join("https://repo.example/rest/deep/", path))).path
    for steps in READINGS.values():
        segments = resolved(reduce(lambda text, step: step(text), steps, sent))
        assert segments[:2] == ["rest", "deep"]
        assert len(segments) > 2
    assert resolved(unquote(sent))[2:] == path.split("/")


@given(odd_segments)
def test_two_paths_are_never_one_url(path):
    if plain(path):
        assert unquote(urlsplit(normalise_url(join(BASE, path))).path) == f"/rest/{path}"


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
