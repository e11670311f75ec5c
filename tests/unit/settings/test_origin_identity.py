"""Which origins are one, and which are two."""

from __future__ import annotations

import pytest

from mezcal.sample import FOLDER
from mezcal.settings import load
from mezcal.settings.origin_identity import OriginIdentity

HOME = "https://repository.example.edu/rest/"


def identity(repository: str | None, archive: str | None = None) -> OriginIdentity:
    return OriginIdentity.of(repository, archive)


@pytest.mark.parametrize(
    "same",
    [
        "https://repository.example.edu/rest",
        "HTTPS://Repository.Example.EDU:443/rest/",
        "https://user:secret@repository.example.edu/rest/",
        "https://repository.example.edu/%72est/",
    ],
)
def test_spellings_of_one_address_are_one_origin(same: str) -> None:
    assert identity(same) == identity(HOME)
    assert "secret" not in str(identity(same))


@pytest.mark.parametrize(
    "other",
    [
        "http://repository.example.edu/rest/",
        "https://repository.example.edu:8443/rest/",
        "https://repository.example.edu/",
        "https://repository.example.edu/Rest/",
        "https://[::1]/rest/",
        "file:///rest/",
    ],
)
def test_other_addresses_are_other_origins(other: str) -> None:
    assert identity(other).mark != identity(HOME).mark
    assert identity(other).folder_name != identity(HOME).folder_name


def test_a_folder_is_one_origin_however_its_path_is_written() -> None:
    assert identity("file:///srv/./masters//") == identity("file:///srv/masters")
    assert identity("file:///srv/a%20b") == identity("file:///srv/a b/")
    assert identity("file:///srv/masters").mark != identity("file:///srv/masters/maps").mark
    assert identity("file:///").folder_name.startswith("cache-root-")


def test_the_samples_are_one_origin_wherever_they_are_installed() -> None:
    assert identity(None) == identity(FOLDER.as_uri())
    assert identity(None).folder_name == "cache-samples"
    assert identity(None).has_master("file:///opt/old/site-packages/mezcal/sample/agave-p3.tif", "1.tif")
    assert identity(f"{FOLDER.as_uri()}/maps") != identity(None)


def test_an_address_that_is_none_is_left_to_the_origin() -> None:
    assert identity("http://host:99999/").repository == "http://host:99999/"


def test_masters_are_known_by_their_urls() -> None:
    assert identity(HOME).has_master("https://repository.example.edu/rest/a%20b/1", "1.tif")
    assert not identity(HOME).has_master("https://repository.example.edu/restricted/1", "1.tif")


def test_an_archive_may_be_added_to_a_repository_but_not_replaced() -> None:
    alone, first, second = identity(HOME), identity(HOME, "https://one.example/"), identity(HOME, "https://two.example")
    assert alone.accepts(first)
    assert first.accepts(alone)
    assert not first.accepts(second)
    assert len({each.mark for each in (alone, first, second)}) == 3
    assert len({each.folder_name for each in (alone, first, second)}) == 1
    thumbnails = [identity(None, f"https://{name}.example/") for name in ("one", "two")]
    assert len({each.folder_name for each in (*thumbnails, identity(None))}) == 3, "without a repository of its own"


def test_each_origin_has_a_cache_and_keys_of_its_own() -> None:
    one, two = (load(_env_file=None, repo_base_url=f"http://{name}.example/") for name in ("one", "two"))
    assert one.cache_dir.parent == two.cache_dir.parent
    assert one.cache_dir.name.startswith("cache-one.example-")
    assert one.cache_dir != two.cache_dir
    assert one.redis_prefix.startswith("mezcal:")
    assert one.redis_prefix != two.redis_prefix


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"repo_base_url": "file:///srv/masters"}, (30, 72_000)),
        ({}, (30, 72_000)),
        ({"repo_base_url": HOME}, (0, 0)),
        ({"repo_base_url": HOME, "revalidate_after": "1d"}, (86_400, 86_400)),
        ({"repo_base_url": "file:///srv/masters", "revalidate_after": "0"}, (0, 0)),
        ({"repo_base_url": "file:///srv/masters", "revalidate_after": "auto"}, (30, 72_000)),
    ],
)
def test_files_are_compared_by_default_and_repositories_are_not_asked(
    given: dict[str, str], seconds: tuple[float, float]
) -> None:
    settings = load(_env_file=None, **given)
    assert (settings.hit_fresh_seconds, settings.unasked_fresh_seconds) == seconds


def test_a_bucket_is_an_origin_by_its_name_and_prefix() -> None:
    bucket = identity("s3://masters/a%20prefix")
    assert str(bucket) == "s3://masters/a%20prefix/"
    assert bucket == identity("s3://masters/a prefix/")
    assert bucket.folder_name.startswith("cache-masters-")
    assert bucket.has_master("s3://masters/a%20prefix/box/1.tif", "1.tif")
    assert not bucket.has_master("s3://masters/another/1.tif", "1.tif")
    others = ("s3://masters/", "s3://Masters/a%20prefix", "https://masters/a%20prefix")
    assert bucket not in map(identity, others)
