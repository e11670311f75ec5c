"""The URLs that are purged of a derivative."""

from __future__ import annotations

from mezcal.downstream.templates import filled, url_paths
from mezcal.recipe import PYRAMID, Mezzanine


def test_a_mezzanine_has_three_urls() -> None:
    assert url_paths(Mezzanine("a/b.tif")) == [
        "/images/a/b.tif",
        "/mezzanine/a/b.tif.jpg",
        "/derivatives/mezzanine/a/b.tif.jpg",
    ]


def test_pages_and_other_profiles_have_their_own() -> None:
    assert url_paths(Mezzanine("a.tif", 2))[0] == "/images/a.tif?page=2"
    assert url_paths(Mezzanine("a.tif", None, PYRAMID)) == ["/derivatives/pyramid/a.tif.tif"]


def test_a_path_that_clients_encode_in_two_ways_is_purged_in_both() -> None:
    paths = url_paths(Mezzanine("a b/ä(1).tif"))
    assert "/images/a%20b/%C3%A4%281%29.tif" in paths
    assert "/images/a%20b/%C3%A4(1).tif" in paths


def test_templates_are_filled() -> None:
    recipe = Mezzanine("a b/1.tif", 3, PYRAMID)
    assert filled("/iiif/3/{identifier}/{profile}/{page}", recipe) == ["/iiif/3/a%20b%2F1.tif/pyramid/3"]
    assert filled("{url}&v", recipe) == ["/derivatives/pyramid/a%20b/1.tif.tif?page=3&v"]
    assert filled("{path}", recipe, raw=True) == ["a b/1.tif"]
    assert filled("/x/{path}", Mezzanine("{page}")) == ["/x/%7Bpage%7D"], "a path is no template"
