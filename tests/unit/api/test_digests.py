"""The digest of an image is sent to those who want it, if it is certain."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from api.responses.digests import repr_digest
from mezcal.settings import Layout
from mezcal.store.local.store import LocalStore
from tests.support.store_contract import JPEG, RECIPE, sidecar

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.store import Opened

VALUE = f"sha-256=:{b64encode(hashlib.sha256(JPEG).digest()).decode()}:"


def opened(root: Path, size: int = len(JPEG), made: float = 2_000_000_000.0) -> Opened:
    store = LocalStore(root, Layout.BASIC)
    with store.draft() as draft:
        draft.write_bytes(JPEG)
        store.put(RECIPE, draft, replace(sidecar(made=made), size=size), lambda: None)
    found = store.open(RECIPE)
    assert found is not None
    found.file.close()
    return found


@pytest.mark.parametrize(("wanted", "value"), [
    ("sha-256=1", VALUE), ("sha-512=10, sha-256=3", VALUE), ("sha-512=10", VALUE), ("md5=0,sha-256=10", VALUE),
    ("sha-256=0", None), ("sha-256", None), ("sha-256=11", None), ("a b", None), ("", None),
])  # fmt: skip
def test_the_digest_is_sent_unless_it_is_not_wanted(tmp_path: Path, wanted: str, value: str | None) -> None:
    assert repr_digest({"HTTP_WANT_REPR_DIGEST": wanted}, opened(tmp_path)) == value


@pytest.mark.parametrize("differs", [{"size": 7}, {"made": 1_000_000_000.0}])
def test_the_record_of_an_older_image_has_no_digest_of_this_one(tmp_path: Path, differs: dict[str, int]) -> None:
    assert repr_digest({"HTTP_WANT_REPR_DIGEST": "sha-256=1"}, opened(tmp_path, **differs)) is None


def test_an_image_of_umd_lib_mezcal_has_no_digest(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.stored.path.with_name("image.json").unlink()  # type: ignore[attr-defined]  # a local path
    assert repr_digest({"HTTP_WANT_REPR_DIGEST": "sha-256=1"}, found) is None
