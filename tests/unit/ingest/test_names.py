"""What people write to name masters: paths, URLs, folders and patterns, for a folder and for a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mezcal.errors import BadRecipe
from mezcal.ingest.manifests import Skipped
from mezcal.ingest.names import MasterGroup, MasterNames, pattern_regex
from mezcal.origin import open_origin
from mezcal.origin.folder import listing
from mezcal.recipe import Mezzanine
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

FILES = (
    "a.tif",
    "box1/page001.tif",
    "box1/page002.TIF",
    "box1/notes.txt",
    "box1/.hidden.tif",
    "box1/deep/er/x.jp2",
    ".git/x.tif",
    "box2/10% a?b#c.tif",
    "box2/x[1].tif",
    "box2/x1.tif",
)
IN_BOX_1 = ["box1/page001.tif", "box1/page002.TIF", "box1/deep/er/x.jp2"]
IN_BOX_2 = ["box2/10% a?b#c.tif", "box2/x1.tif", "box2/x[1].tif"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "masters"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"II*\0")
    return root


@pytest.fixture
def names(folder: Path) -> MasterNames:
    return MasterNames(open_origin(load(_env_file=None, repo_base_url=f"file://{folder}")))


@pytest.fixture
def repository() -> MasterNames:
    return MasterNames(open_origin(load(_env_file=None, repo_base_url="https://repository.example/rest/")))


def masters(names: MasterNames, *given: str) -> list[str]:
    """The paths that *given* name, and what was skipped with a mark before it."""
    found = names.masters(given)
    return [f"! {item.what}: {item.why}" if isinstance(item, Skipped) else item.path for item in found]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("box1/page001.tif", "box1/page001.tif"),
        ("./box1/page001.tif", "box1/page001.tif"),
        (".//./box1/page001.tif", "box1/page001.tif"),
        ("{folder}/box1/page001.tif", "box1/page001.tif"),
        ("{folder}/box2/../box1/page001.tif", "box1/page001.tif"),
        ("file://{folder}/box1/page001.tif", "box1/page001.tif"),
        ("file://localhost{folder}/box2/10%25%20a%3Fb%23c.tif", "box2/10% a?b#c.tif"),
        ("box2/10% a?b#c.tif", "box2/10% a?b#c.tif"),
        ("box2/x[1].tif", "box2/x[1].tif"),
        ("not/there.tif", "not/there.tif"),
    ],
)
def test_one_master_has_many_names(names: MasterNames, folder: Path, given: str, path: str) -> None:
    assert names.parse(given.format(folder=folder)) == Mezzanine(path)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("box1/", IN_BOX_1),
        ("box1", IN_BOX_1),
        ("{folder}/box1", IN_BOX_1),
        ("file://{folder}/box1/", IN_BOX_1),
        ("box1/*", IN_BOX_1[:2]),
        ("box1/*.tif", IN_BOX_1[:1]),
        ("**/*.tif", ["a.tif", "box1/page001.tif", *IN_BOX_2]),
        ("box1/**", IN_BOX_1),
        ("box?/", [*IN_BOX_1, *IN_BOX_2]),
        ("box2/x[0-9]*.tif", ["box2/x1.tif"]),
        ("box2/*[!1].tif", ["box2/10% a?b#c.tif", "box2/x[1].tif"]),
        ("{folder}/", ["a.tif", *IN_BOX_1, *IN_BOX_2]),
    ],
)
def test_a_folder_or_a_pattern_names_the_images_below_it_in_order(
    names: MasterNames, folder: Path, given: str, found: list[str]
) -> None:
    assert masters(names, given.format(folder=folder)) == found
    group = names.parse(given.format(folder=folder))
    assert isinstance(group, MasterGroup)
    assert all(map(group.has, found)), "for what is stored, the same rule holds"
    assert not group.has("elsewhere/x.tif") or given in {"**/*.tif", "{folder}/"}


def test_all_is_everything(names: MasterNames) -> None:
    found = names.masters_of_group(MasterGroup("--all"))
    assert [item.path for item in found if isinstance(item, Mezzanine)] == ["a.tif", *IN_BOX_1, *IN_BOX_2]


def test_from_inside_the_folder_dots_begin_at_the_current_one(
    names: MasterNames, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "box1")
    assert names.parse("./page001.tif") == Mezzanine("box1/page001.tif")
    assert names.parse("../a.tif") == Mezzanine("a.tif")
    assert masters(names, ".") == IN_BOX_1
    assert names.parse("a.tif") == Mezzanine("a.tif"), "a name without dots begins at the repository"


def test_another_way_to_the_folder_is_found(names: MasterNames, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    assert names.parse(f"{tmp_path}/alias/box1/page001.tif") == Mezzanine("box1/page001.tif")
    assert masters(names, f"{tmp_path}/alias/box1/") == IN_BOX_1


def test_no_link_leads_out_and_no_folder_is_read_twice(names: MasterNames, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.tif").write_bytes(b"II*\0")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "box2" / "out.tif").symlink_to(tmp_path / "secret" / "x.tif")
    (folder / "box2" / "in.tif").symlink_to(folder / "a.tif")
    (folder / "box2" / "loop").symlink_to(folder)
    assert "box2/in.tif" in masters(names, "box2/")
    assert [path for path in masters(names, f"{folder}/") if "out" in path or "loop" in path] == []
    assert masters(names, "out/") == ["! out: the folder cannot be listed: No such file or directory"]


def test_what_cannot_be_read_or_requested_is_reported(names: MasterNames, folder: Path) -> None:
    (folder / "box1" / "line\nbreak.tif").write_bytes(b"II*\0")
    assert [found for found in masters(names, "box1/") if found[0] == "!"] == [
        "! box1/line\nbreak.tif: the path holds a control character"
    ]
    assert masters(names, "none/") == ["! none: the folder cannot be listed: No such file or directory"]
    assert masters(names, "box1/*.psd") == ["! box1/*.psd: no image matches it"]
    assert masters(names, f"/{'x/' * 2000}y.tif")[0].startswith("! ")


def test_a_large_folder_is_listed_in_parts(names: MasterNames, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(23):
        (folder / f"box1/deep/{number:02}.tif").write_bytes(b"")
    whole = masters(names, "box1/")
    monkeypatch.setattr(listing, "SCAN_MAX", 2)
    assert masters(names, "box1/") == whole
    assert len(whole) == 26


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("/box1/page001.tif", "without a leading slash: box1/page001.tif"),
        ("file:///srv/box1/page001.tif", "without a leading slash: box1/page001.tif"),
        ("../x.tif", "leads out of the repository"),
        ("https://elsewhere.example/x.tif", "its URLs begin with https://repository.example/rest/"),
        ("box1/../x.tif", "segment '..'"),
        ("[z-a]*", "pattern cannot be read"),
    ],
)
def test_an_error_says_what_would_be_right(repository: MasterNames, given: str, why: str) -> None:
    with pytest.raises(BadRecipe) as refused:
        repository.parse(given)
    assert why in refused.value.detail


def test_a_path_elsewhere_names_the_repository_s_folder(names: MasterNames, folder: Path) -> None:
    with pytest.raises(BadRecipe, match=str(folder)):
        names.parse("/etc/x.tif")
    with pytest.raises(BadRecipe, match="REPO_BASE_URL"):
        names.parse("https://elsewhere.example/x.tif")


def test_a_repository_has_paths_and_urls_and_no_list(repository: MasterNames) -> None:
    assert repository.parse("https://repository.example/rest/a%20b.tif") == Mezzanine("a b.tif")
    assert repository.parse("./a.tif") == Mezzanine("a.tif")
    assert repository.parse("box1") == Mezzanine("box1")
    for given in ("box1/", "box1/*.tif"):
        [line] = masters(repository, given)
        assert line == f"! {given}: a repository has no list of its masters: name them by --from or --manifest"
        assert isinstance(repository.parse(given), MasterGroup), "what is stored can be purged"


def test_a_bucket_has_paths_urls_folders_and_patterns() -> None:
    given = {"repo_base_url": "s3://masters/a prefix", "repo_username": "id", "repo_password": "secret"}
    bucket = MasterNames(open_origin(load(_env_file=None, **given)))
    for name in ("box 1/a.tif", "./box 1/a.tif", "s3://masters/a%20prefix/box%201/a.tif"):
        assert bucket.parse(name) == Mezzanine("box 1/a.tif")
    folders = [bucket.parse(name) for name in ("box1/", "s3://masters/a%20prefix/box1/", "s3://masters/a%20prefix/")]
    assert [group.prefix for group in folders if isinstance(group, MasterGroup)] == ["box1/", "box1/", ""]
    assert bucket.parse("box1/*.tif") == MasterGroup("box1/*.tif", "box1/", "box1/*.tif")
    with pytest.raises(BadRecipe, match="its URLs begin with s3://masters/a%20prefix/"):
        bucket.parse("s3://others/a.tif")
    with pytest.raises(BadRecipe, match=r"without a leading slash: box1/a\.tif"):
        bucket.parse("/box1/a.tif")


def test_without_a_repository_paths_are_understood() -> None:
    assert MasterNames(None).parse("a.tif") == Mezzanine("a.tif")
    with pytest.raises(BadRecipe, match="without a leading slash"):
        MasterNames(None).parse("/a.tif")


def test_a_line_of_a_list_names_one_master_as_it_stands(names: MasterNames) -> None:
    lines = ["box1/*.tif", "./box1/page001.tif", "box1/"]
    pattern, page, box = names.masters_of_list(lines)
    assert (pattern, page) == (Mezzanine("box1/*.tif"), Mezzanine("box1/page001.tif"))
    assert isinstance(box, Skipped)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("a/**", "a/b/c", True),
        ("a/?.tif", "a/é.tif", True),
        ("a[!b]c", "a/c", False),
        ("a[]]c*", "a]c", True),
        ("a[^]c*", "a^c", True),
        ("a[*", "a[x", True),
        ("a.*", "axb", False),
    ],
)
def test_patterns_are_those_of_a_shell(pattern: str, path: str, matches: bool) -> None:
    assert bool(pattern_regex(pattern).fullmatch(path)) is matches
