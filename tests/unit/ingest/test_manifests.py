"""IIIF manifests and collections: which masters they show, which images are skipped, and that reading has limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.ingest.manifests import Manifests, Skipped
from mezcal.ingest.manifests.fetch import DocumentFetcher
from mezcal.ingest.manifests.paths import ManifestPaths
from mezcal.origin import urls
from mezcal.recipe import Mezzanine
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPOSITORY = "https://repository.example.edu/rest/"
SERVICES = "https://iiif.example.edu/iiif/2/"


@pytest.fixture
def web() -> Iterator[OriginServer]:
    """A real server of manifests."""
    with OriginServer() as running:
        yield running


def manifests(most: int = 10_000, **fetching: Any) -> Manifests:
    places = ManifestPaths(lambda url: urls.path_under(REPOSITORY, url), (SERVICES,))
    return Manifests(places, DocumentFetcher(**fetching), most)


def put(web: OriginServer, name: str, document: Any) -> str:
    """Serve *document*; its URL."""
    web.script(name, body=json.dumps(document).encode(), content_type="application/json")
    return web.url + name


def service(identifier: str, **given: Any) -> dict[str, Any]:
    return {"@id": SERVICES + identifier, "profile": "http://iiif.io/api/image/2/level2.json"} | given


def two(*resources: Any) -> dict[str, Any]:
    """Returns a manifest of Presentation 2 with a canvas for each resource."""
    canvases = [{"@type": "sc:Canvas", "images": [{"resource": resource}]} for resource in resources]
    return {"@type": "sc:Manifest", "sequences": [{"canvases": canvases}]}


def three(*bodies: Any) -> dict[str, Any]:
    """Returns a manifest of Presentation 3 with a canvas for each body."""
    canvases = [
        {"type": "Canvas", "items": [{"type": "AnnotationPage", "items": [{"motivation": "painting", "body": body}]}]}
        for body in bodies
    ]
    return {"type": "Manifest", "items": canvases}


def image(url: str, **given: Any) -> dict[str, Any]:
    return {"id": url, "type": "Image"} | given


def paths(found: Iterator[Mezzanine | Skipped]) -> list[str]:
    """Returns the paths that were found, and the skipped images with the reason."""
    return [one.path if isinstance(one, Mezzanine) else f"skipped: {one.what} {one.why}" for one in found]


def passed(found: Iterator[Mezzanine | Skipped]) -> list[Skipped]:
    return [one for one in found if isinstance(one, Skipped)]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(two({"@id": "x", "service": service("books%2F1%2Fp1.tif")}), "books/1/p1.tif", id="2, service"),
        pytest.param(two({"@id": "x", "service": [service("a%20b.tif")]}), "a b.tif", id="2, list of services"),
        pytest.param(two({"@id": REPOSITORY + "a%20b.tif", "@type": "dctypes:Image"}), "a b.tif", id="2, body"),
        pytest.param(
            two({"@type": "oa:Choice", "default": {"@id": REPOSITORY + "d.tif"}, "item": [{"@id": "rdf:nil"}]}),
            "d.tif",
            id="2, choice",
        ),
        pytest.param(
            two({"@type": "oa:SpecificResource", "full": {"@id": "x", "service": service("part.tif")}}),
            "part.tif",
            id="2, part of an image",
        ),
        pytest.param(
            three(image("x", service=[{"id": SERVICES + "p.tif", "type": "ImageService3"}])), "p.tif", id="3, service"
        ),
        pytest.param(three(image(REPOSITORY + "books/1/p.tif")), "books/1/p.tif", id="3, body"),
        pytest.param(
            three({"type": "Choice", "items": [image(REPOSITORY + "one.tif")]}), "one.tif", id="3, choice of one"
        ),
        pytest.param(
            three({"type": "SpecificResource", "source": image(REPOSITORY + "whole.tif")}), "whole.tif", id="3, source"
        ),
        pytest.param(
            three(image(f"{SERVICES}p%2F1.tif/full/max/0/default.jpg")), "p/1.tif", id="3, image request as body"
        ),
        pytest.param(
            two({"@id": "x", "service": service("https%3A%2F%2Frepository.example.edu%2Frest%2Fwhole%2520url.tif")}),
            "whole url.tif",
            id="identifier that is a URL of the repository",
        ),
        pytest.param(
            two({"@id": "x", "service": service("dir/plain.tif/info.json")}), "dir/plain.tif", id="unescaped slashes"
        ),
    ],
)
def test_a_master_is_found(web: OriginServer, document: Any, expected: str) -> None:
    assert paths(manifests().masters(put(web, "m.json", document))) == [expected]


def test_all_pictures_of_a_choice_are_found_and_each_once(web: OriginServer) -> None:
    options = [image(REPOSITORY + "visible.tif"), image(REPOSITORY + "infrared.tif")]
    url = put(web, "m.json", three({"type": "Choice", "items": options}, options[0]))
    assert paths(manifests().masters(url)) == ["visible.tif", "infrared.tif"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (three(image("https://elsewhere.example/x.tif")), "does not begin with REPO_BASE_URL"),
        (three({"id": REPOSITORY + "a.mp4", "type": "Video"}), "it is not an image: Video"),
        (three({"type": "TextualBody", "value": "a"}), "it is not an image: TextualBody"),
        (three(image("x", service=[service("..%2Fx.tif")])), "'..'"),
        ({"type": "Canvas"}, "not a IIIF manifest"),
        (["a"], "not a IIIF manifest"),
    ],
)
def test_what_is_skipped_is_returned_with_the_reason(web: OriginServer, document: Any, why: str) -> None:
    [skipped] = manifests().masters(put(web, "m.json", document))
    assert isinstance(skipped, Skipped)
    assert why in skipped.why


def test_what_is_no_image_service_is_not_taken_for_one(web: OriginServer) -> None:
    auth = {"@id": SERVICES + "login", "profile": "http://iiif.io/api/auth/1/login"}
    url = put(web, "m.json", two({"@id": REPOSITORY + "a.tif", "service": [auth]}))
    assert paths(manifests().masters(url)) == ["a.tif"]


def test_comments_and_transcriptions_on_a_canvas_are_no_pictures(web: OriginServer) -> None:
    document = three(image(REPOSITORY + "a.tif"))
    comment = {"motivation": "commenting", "body": image(REPOSITORY + "b.tif")}
    document["items"][0]["items"][0]["items"].append(comment)
    assert paths(manifests().masters(put(web, "m.json", document))) == ["a.tif"]


def test_annotation_pages_that_are_only_named_are_read_too(web: OriginServer) -> None:
    page = {"type": "AnnotationPage", "items": [{"motivation": ["painting"], "body": image(REPOSITORY + "p.tif")}]}
    named = {"id": put(web, "page.json", page), "type": "AnnotationPage"}
    url = put(web, "m.json", {"type": "Manifest", "items": [{"type": "Canvas", "items": [named]}]})
    assert paths(manifests().masters(url)) == ["p.tif"]


@pytest.mark.parametrize("version", [2, 3])
def test_a_collection_gives_its_members_masters_and_loops_end(web: OriginServer, version: int) -> None:
    leaf = put(web, "m.json", three(image(REPOSITORY + "a.tif")))
    inner = {"id": web.url + "inner", "type": "Collection", "items": []}
    if version == 3:
        outer = {"type": "Collection", "items": [{"id": leaf, "type": "Manifest"}, inner | {"items": None}]}
        inner["items"] = [{"id": web.url + "outer", "type": "Collection"}, {"id": leaf, "type": "Manifest"}]
    else:
        outer = {"@type": "sc:Collection", "manifests": [{"@id": leaf}], "collections": [{"@id": web.url + "inner"}]}
        inner = {"@type": "sc:Collection", "members": [{"@id": web.url + "outer", "@type": "sc:Collection"}]}
    put(web, "inner", inner)
    assert paths(manifests().masters(put(web, "outer", outer))) == ["a.tif"]
    assert [web.count(name) for name in ("outer", "inner", "m.json")] == [1, 1, 1]


def test_members_that_are_written_out_are_read_where_they_are(web: OriginServer) -> None:
    collection = {"type": "Collection", "items": [{"id": "https://nowhere.example/m"} | three(image(REPOSITORY + "a"))]}
    assert paths(manifests().masters(put(web, "c.json", collection))) == ["a"]


def test_members_elsewhere_are_read_only_where_that_was_allowed(web: OriginServer) -> None:
    with OriginServer() as other:
        leaf = put(other, "m.json", three(image(REPOSITORY + "a.tif")))
        url = put(web, "c.json", {"type": "Collection", "items": [{"id": leaf, "type": "Manifest"}]})
        [skipped] = manifests().masters(url)
        assert isinstance(skipped, Skipped)
        assert f"--manifest-host 127.0.0.1:{other.port}" in skipped.why
        assert other.count() == 0
        allowed = frozenset({f"127.0.0.1:{other.port}"})
        assert paths(manifests(allowed_hosts=allowed).masters(url)) == ["a.tif"]


@pytest.mark.parametrize(
    "form",
    [
        *("http://2130706433:{port}/m.json", "http://0x7f000001:{port}/m.json", "http://127.1:{port}/m.json"),
        *("http://[::ffff:127.0.0.1]:{port}/m.json", "//127.0.0.1:{port}/m.json", "m.json", "http:///m.json"),
        *("http://user@127.0.0.1:{home}/m.json", "http://127.0.0.1:{home}@127.0.0.1:{port}/m.json"),
        *("http://127.0.0.1:{home}\\@127.0.0.1:{port}/m.json", "http://127.0.0.1:99999/m.json", "http://[::1/m.json"),
        "file:///etc/hostname",
    ],
)
@pytest.mark.parametrize("local", [False, True])
def test_no_disguise_of_an_address_is_read(web: OriginServer, tmp_path: Path, form: str, local: bool) -> None:
    """It also holds if the first document is a file, whose host cannot be compared."""
    with OriginServer() as other:
        leaf = form.format(port=other.port, home=web.port)
        document = {"type": "Collection", "items": [{"id": leaf, "type": "Manifest"}]}
        file = tmp_path / "c.json"
        file.write_text(json.dumps(document))
        [skipped] = manifests().masters(str(file) if local else put(web, "c.json", document))
        assert isinstance(skipped, Skipped)
        assert other.count() == 0
        assert [seen.path for seen in web.seen()] == ([] if local else ["c.json"])


def test_no_more_documents_are_read_than_may_be(web: OriginServer) -> None:
    leaves = [put(web, f"{number}.json", three(image(f"{REPOSITORY}{number}.tif"))) for number in range(5)]
    url = put(web, "c.json", {"type": "Collection", "items": [{"id": leaf, "type": "Manifest"} for leaf in leaves]})
    found = list(manifests(most=3).masters(url))
    assert paths(iter(found[:2])) == ["0.tif", "1.tif"]
    assert passed(iter(found)) == [Skipped(leaves[2], "3 documents are read; this one and 2 more are not")]


def test_a_member_that_cannot_be_read_does_not_end_the_rest(web: OriginServer) -> None:
    good = put(web, "m.json", three(image(REPOSITORY + "a.tif")))
    names = [web.url + "missing.json", good]
    url = put(web, "c.json", {"type": "Collection", "items": [{"id": name, "type": "Manifest"} for name in names]})
    assert list(manifests().masters(url)) == [Skipped(names[0], "the server answered 404"), Mezzanine("a.tif")]


@pytest.mark.parametrize(
    ("script", "fetching", "why"),
    [
        ({"endless": True}, {"bytes_max": 100_000}, "it has more than 100,000 bytes"),
        ({"body": b"[" * 2000, "rate": 100}, {"seconds_max": 0.3}, "the server took longer than 0.3 s"),
        ({"delay": 30}, {"seconds_max": 0.2}, "the server took longer than 0.2 s"),
        ({"body": b"<html>"}, {}, "it is not JSON"),
        ({"body": b"[" * 1_000_000}, {}, "it is nested too deeply"),
        ({"redirect": "/rest/m.json"}, {}, "the server redirects more than 5 times"),
        ({"redirect": "file:///etc/passwd"}, {}, "redirects to something that is not an HTTP URL"),
        ({"redirect": "http://127.0.0.1:1/x"}, {}, "it is on another host"),
        ({"silent": 1}, {}, "cannot be reached, or closed the connection without an answer"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_document_has_bounds(web: OriginServer, script: dict[str, Any], fetching: dict[str, Any], why: str) -> None:
    web.script("m.json", **script)
    [skipped] = manifests(**fetching).masters(web.url + "m.json")
    assert isinstance(skipped, Skipped)
    assert why in skipped.why


def test_no_credential_of_any_kind_is_sent(web: OriginServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what ~/.netrc has for the host, nor a cookie that an answer has set."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    leaf = put(web, "m.json", three(image(REPOSITORY + "a.tif")))
    url = put(web, "c.json", {"type": "Collection", "items": [{"id": leaf, "type": "Manifest"}]})
    web.script_of("c.json").headers["Set-Cookie"] = "a=b"
    assert paths(manifests().masters(url)) == ["a.tif"]
    assert not {"authorization", "cookie"} & {name for request in web.seen() for name in request.headers}


def test_a_manifest_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(three(image(REPOSITORY + "a.tif"))))
    assert paths(manifests().masters(str(file))) == ["a.tif"]
    [skipped] = manifests().masters(str(tmp_path / "missing.json"))
    assert isinstance(skipped, Skipped)
    assert "No such file" in skipped.why


def test_nesting_in_the_document_is_bounded(web: OriginServer) -> None:
    nested = b'{"type":"Choice","items":[' * 900 + b'"x"' + b"]}" * 900
    canvas = b'{"type":"Canvas","items":[{"items":[{"body":' + nested + b"}]}]}"
    web.script("m.json", body=b'{"type":"Manifest","items":[' + canvas + b"]}")
    [skipped] = manifests().masters(web.url + "m.json")
    assert isinstance(skipped, Skipped)
