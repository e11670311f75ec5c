"""A folder as origin: its regular files, and nothing else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from mezcal.errors import (
    MasterForbidden,
    MasterIncomplete,
    MasterMissing,
    MasterOutside,
    MasterUnreadable,
    NotAnImage,
    TooLarge,
)
from mezcal.origin import open_origin
from mezcal.settings import WrongSetting, load


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my masters"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "100% a?b#c.tif").write_bytes(b"II*\0master")
    (folder / "closed.tif").write_bytes(b"II*\0closed")
    (folder / "closed.tif").chmod(0)
    return folder


@pytest.fixture
def origin(folder):
    def make(**settings):
        return open_origin(load(**{"repo_base_url": f"file://{folder}", "_env_file": None} | settings))

    return make


def test_a_file_is_opened_where_it_lies(origin, folder):
    with origin().open("sub/100% a?b#c.tif") as master:
        assert os.path.samestat(os.fstat(master.file.fileno()), (folder / "sub/100% a?b#c.tif").stat())
        assert master.file.read() == b"II*\0master"
        master.complete()
        assert master.size == 10
        assert master.etag.startswith('"')
        assert master.last_modified.endswith("GMT")
    assert master.file.closed


def test_its_url_names_the_file_again(origin, folder):
    assert origin().base_url == folder.as_uri() + "/"
    with origin().open("sub/100% a?b#c.tif") as master:
        assert origin().path_of(master.source) == "sub/100% a?b#c.tif"
    assert origin().path_of("file:///etc/passwd") is None


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_final_slash_makes_no_difference(folder, slash):
    assert open_origin(load(repo_base_url=f"{folder.as_uri()}{slash}")).base_url == folder.as_uri() + "/"


def test_the_root_may_be_the_folder():
    assert open_origin(load(repo_base_url="file:///")).base_url == "file:///"


@pytest.mark.parametrize("path", ["none.tif", "sub", "sub/100% a?b#c.tif/x", "x" * 300, "loop", "pipe", "broken"])
def test_what_is_no_file_is_missing(origin, folder, path):
    (folder / "loop").symlink_to("loop")
    (folder / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    with pytest.raises(MasterMissing), origin().open(path):
        pass


def test_a_missing_file_is_named(origin):
    with pytest.raises(MasterMissing, match=r"has no file books/1/plain$"), origin().open("books/1/plain"):
        pass


def test_a_link_inside_the_folder_is_followed(origin, folder):
    (folder / "link.tif").symlink_to("sub/100% a?b#c.tif")
    with origin().open("link.tif") as master:
        assert master.file.read() == b"II*\0master"


@pytest.mark.parametrize("path", ["out.tif", "up/out.tif"])
def test_a_link_out_of_the_folder_leads_nowhere(origin, folder, path):
    (folder.parent / "out.tif").write_bytes(b"II*\0secret")
    (folder / "out.tif").symlink_to(folder.parent / "out.tif")
    (folder / "up").symlink_to(folder.parent)
    with pytest.raises(MasterOutside, match=f"^it leads out of the folder, to {folder.parent}/out.tif$"):
        origin().open(path).__enter__()
    (folder.parent / "out.tif").unlink()
    with pytest.raises(MasterOutside), origin().open(path):  # clients do not learn which files there are
        pass


def test_images_to_show_are_no_links_that_lead_out_or_nowhere(origin, folder):
    (folder.parent / "out.tif").write_bytes(b"II*\0secret")
    (folder / "out.tif").symlink_to(folder.parent / "out.tif")
    (folder / "broken.tif").symlink_to("nowhere.tif")
    (folder / "link.tif").symlink_to("sub/100% a?b#c.tif")
    shown = origin().list_paths(100)
    assert "link.tif" in shown
    assert not {"out.tif", "broken.tif"} & set(shown)
    assert origin().list_paths(1) == shown[:1]


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with open_origin(load(repo_base_url=f"file://{tmp_path}/link")).open("sub/100% a?b#c.tif") as master:
        assert master.size == 10


@contextlib.contextmanager
def without_root():
    """Root may read everything: become the user `nobody` for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(("status", "failure"), [(502, MasterUnreadable), (403, MasterForbidden)])
def test_a_file_that_may_not_be_read_is_denied(origin, status, failure):
    masters = origin(origin_denied_status=status)
    with without_root(), pytest.raises(failure), masters.open("closed.tif"):
        pass


def test_an_empty_file_is_not_an_image(origin, folder):
    (folder / "empty.tif").touch()
    with pytest.raises(NotAnImage), origin().open("empty.tif"):
        pass


def test_a_file_beyond_the_limit_is_too_large(origin):
    with pytest.raises(TooLarge), origin(origin_max_bytes=9).open("sub/100% a?b#c.tif"):
        pass


def test_a_file_that_changes_while_it_is_read_is_noticed(origin, folder):
    with origin().open("sub/100% a?b#c.tif") as master:
        (folder / "sub/100% a?b#c.tif").write_bytes(b"II*\0another")
        with pytest.raises(MasterIncomplete, match="changed"):
            master.complete()


def test_a_changed_file_has_another_etag(origin, folder):
    with origin().open("sub/100% a?b#c.tif") as master:
        before = master.etag
    os.utime(folder / "sub/100% a?b#c.tif", (1, 1))
    with origin().open("sub/100% a?b#c.tif") as master:
        assert master.etag != before


def test_a_folder_that_is_not_there_is_a_wrong_setting(folder):
    with pytest.raises(WrongSetting, match="REPO_BASE_URL"):
        open_origin(load(repo_base_url=f"file://{folder}/none"))


def test_a_file_is_no_folder_of_masters(folder):
    with pytest.raises(WrongSetting, match="REPO_BASE_URL"):
        open_origin(load(repo_base_url=f"file://{folder}/closed.tif"))


@pytest.mark.parametrize("exchanged", ["sub", "sub/deep", "sub/deep/master.tif"])
def test_a_folder_that_is_exchanged_for_a_link_does_not_lead_out(origin, folder, monkeypatch, exchanged):
    """Another program exchanges it after the path was resolved, and before the file is opened."""
    (folder / "sub/deep").mkdir()
    (folder / "sub/deep/master.tif").write_bytes(b"II*\0inside")
    (folder.parent / "outside/deep").mkdir(parents=True)
    (folder.parent / "outside/deep/master.tif").write_bytes(b"II*\0secret")
    target = folder.parent / "outside" / exchanged.removeprefix("sub").lstrip("/")
    resolve = os.path.realpath

    def resolve_and_exchange(path, *, strict=False):
        real = resolve(path, strict=strict)
        if Path(real).name == "master.tif":
            (folder / exchanged).rename(folder.parent / "moved")
            (folder / exchanged).symlink_to(target)
        return real

    monkeypatch.setattr(os.path, "realpath", resolve_and_exchange)
    with pytest.raises(MasterMissing), origin().open("sub/deep/master.tif"):
        pass
    monkeypatch.undo()
    with pytest.raises(MasterMissing), origin().open("sub/deep/master.tif"):
        pass


def test_what_is_no_file_leaves_no_open_descriptor(origin, folder):
    masters = origin()
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208 - one descriptor, for the list itself
    for path in ("sub", "none.tif", "sub/none.tif", "closed.tif/x"):
        with pytest.raises(MasterMissing), masters.open(path):
            pass
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


def test_a_folder_that_may_be_entered_but_not_listed_is_passed():
    with tempfile.TemporaryDirectory() as name:  # the folder of a test may not be entered by others
        Path(name).chmod(0o755)
        Path(name, "sub").mkdir()
        Path(name, "sub/master.tif").write_bytes(b"II*\0master")
        Path(name, "sub").chmod(0o311)
        masters = open_origin(load(repo_base_url=f"file://{name}", _env_file=None))
        with without_root(), masters.open("sub/master.tif") as master:
            assert master.file.read() == b"II*\0master"


def test_a_folder_is_no_master_and_is_called_one(origin, folder):
    with pytest.raises(MasterMissing, match="sub is a folder: name a file in it"), origin().open("sub"):
        pass


def test_it_is_known_whether_a_list_is_complete(origin, folder):
    (folder / ".trash").mkdir()
    (folder / ".trash" / "old.tif").write_bytes(b"II*\0x")
    (folder / ".x.tif").write_bytes(b"II*\0x")
    names = ["closed.tif", "sub/100% a?b#c.tif"]
    assert origin().first_paths(2) == (names, True)
    assert origin().first_paths(1) == (names[:1], False)


def test_names_that_no_path_can_have_are_not_listed(origin, folder):
    for name in (b"a\nb.tif", b"caf\xe9.tif", b"x\x7f.tif", b"y\x85.tif"):
        (folder / os.fsdecode(name)).write_bytes(b"II*\0x")
    (folder / "sub\t").mkdir()
    (folder / "sub\t/z.tif").write_bytes(b"II*\0x")
    assert origin().list_paths(10) == ["closed.tif", "sub/100% a?b#c.tif"]
