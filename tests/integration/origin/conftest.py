"""A scripted origin, a client for it, and a scratch folder that must be empty at the end."""

import pytest

from mezcal.origin import open_origin
from mezcal.settings import load
from tests.integration.origin import BIG, MASTER, downloads
from tests.support.origin_server import OriginServer
from tests.support.proc import open_files
from tests.support.waiting import until


@pytest.fixture
def origin(tmp_path):
    folder = tmp_path / "masters"
    folder.mkdir()
    (folder / "a.tif").write_bytes(MASTER)
    (folder / "big.tif").write_bytes(BIG)
    with OriginServer(folder) as server:
        yield server


@pytest.fixture
def scratch(tmp_path):
    """The scratch folder. After each test it must be empty, as soon as the download's thread has ended."""
    folder = tmp_path / "scratch"
    yield folder
    until(lambda: not downloads(), what="the end of the download")
    assert not folder.exists() or not list(folder.iterdir())
    until(lambda: not [file for file in open_files().values() if str(folder) in str(file)], what="closed files")


@pytest.fixture
def repository(origin, scratch):
    def make(**settings):
        given = {"repo_base_url": origin.url, "tmp_dir": scratch, "_env_file": None}
        return open_origin(load(**given | settings))

    return make
