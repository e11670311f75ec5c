"""Verifying a bucket: each image is read and compared with its metadata; defects are found and mended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mezcal import cli
from mezcal.recipe import Mezzanine
from mezcal.store.housekeeping.verify import Defect
from mezcal.store.s3 import S3Store
from mezcal.store.s3 import verify as module
from mezcal.store.s3.verify import S3Verifier
from tests.support.s3_server import running_s3
from tests.support.store_contract import JPEG, RECIPE, content, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.s3_server import S3Server

SPOILT = Mezzanine.parse("spoilt/1")
FAULTS = {
    Defect.EMPTY: b"",
    Defect.CUT: JPEG[:-2],
    Defect.CHANGED: JPEG.replace(b"whole", b"other"),
}


@pytest.fixture
def store(s3: S3Server, tmp_path: Path) -> S3Store:
    return S3Store(s3.settings(s3.bucket(), tmp_path, aws_prefix="pre/fix"))


def spoil(store: S3Store, data: bytes) -> None:
    """Put *data* where SPOILT is, with the metadata of what was there."""
    put(store, recipe=SPOILT)
    found = store.bucket.head(store.name(SPOILT))
    assert found is not None
    store.bucket.put(found.name, data, {"Metadata": dict(found.metadata)})


def test_what_is_whole_is_left_as_it_was(store: S3Store) -> None:
    stored = put(store)
    (item,) = S3Verifier(store, mend=True).verify()
    assert (item.folder, item.defect, item.without_sidecar, item.bytes) == ("dc/1", None, False, len(JPEG))
    assert store.find(RECIPE) == stored


def test_an_object_without_metadata_is_counted_but_is_not_a_defect(store: S3Store) -> None:
    store.bucket.put(store.name(RECIPE), JPEG)
    (item,) = S3Verifier(store, mend=True).verify()
    assert (item.defect, item.without_sidecar) == (None, True)
    assert content(store) == JPEG


@pytest.mark.parametrize("defect", FAULTS)
def test_each_fault_is_found_and_mended(store: S3Store, defect: Defect) -> None:
    put(store)
    spoil(store, FAULTS[defect])
    (found,) = [item for item in S3Verifier(store).verify() if item.defect]
    assert (found.folder, found.defect, found.mended) == ("spoilt/1", defect, False)
    (mended,) = [item for item in S3Verifier(store, mend=True).verify() if item.defect]
    assert mended.mended
    assert [item.folder for item in S3Verifier(store).verify()] == ["dc/1"]


def test_what_dead_processes_left_is_found_once_it_is_old(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.bucket.put(".mezcal/check-0123456789abcdef", b"")
    assert list(S3Verifier(store).verify()) == []
    monkeypatch.setattr(module, "TRIAL_SECONDS", -60.0)
    (left,) = S3Verifier(store, mend=True).verify()
    assert (left.defect, left.mended) == (Defect.DEAD_DRAFT, True)
    assert list(S3Verifier(store).verify()) == []


def test_a_sample_has_the_requested_size(store: S3Store) -> None:
    for number in range(5):
        put(store, recipe=Mezzanine.parse(f"dc/{number}"))
    assert len(list(S3Verifier(store).verify(3))) == 3


def test_the_command_reads_a_bucket_as_it_reads_a_folder(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in s3.environment(s3.bucket("verified")).items():
        monkeypatch.setenv(name, value)
    spoil(S3Store(s3.settings("verified", tmp_path)), b"no picture")
    assert cli.main(["cache", "verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["found"] == [
        {"folder": "spoilt/1", "defect": "cut image", "mended": False}
    ]
    assert cli.main(["cache", "verify", "--mend", "--json"]) == 0


def test_a_server_without_conditional_deletions_gets_a_head_first(tmp_path: Path) -> None:
    """AWS was such a server for years. Without the check, evicted objects would stay for ever."""
    with running_s3(tmp_path, "early") as server:
        store = S3Store(server.settings(server.bucket(), tmp_path, pin_seconds=0))
        put(store)
        assert store.evict(RECIPE)
        assert store.expire() == 1
        assert list(store.entries()) == []
