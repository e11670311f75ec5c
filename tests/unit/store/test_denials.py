"""Denials in each kind of store."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.store.denials import Denial, DenialList, Denials
from tests.support.store_contract import STORES, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.store import DerivativeStore
    from tests.support.s3_server import S3Server


def denial(path: str, until: float | None = None) -> Denial:
    return Denial(path, time.time(), "somebody", "a reason", until)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, servers: Callable[[str], S3Server]) -> DerivativeStore:
    return opened(str(request.param), tmp_path, servers)


def test_a_folder_denies_all_below_it_and_nothing_beside_it() -> None:
    denials = Denials((denial("a/b/"), denial("c.tif")))
    now = time.time()
    denied = [path for path in ("a/b/1.tif", "a/b/c/2.tif", "c.tif") if denials.find(path, now)]
    assert denied == ["a/b/1.tif", "a/b/c/2.tif", "c.tif"]
    assert not any(denials.find(path, now) for path in ("a/b", "a/bc/1.tif", "a/1.tif", "c.tif2", "d/c.tif"))


def test_a_denial_ends_at_its_time() -> None:
    denials = Denials((denial("a", until=100.0),))
    assert denials.find("a", 99)
    assert denials.find("a", 100) is None


def test_a_damaged_file_is_an_error_and_not_an_empty_list() -> None:
    for data in (b"", b"{", b"[]", b'{"denials": [{"path": "a"}]}', b'{"denials": 1}'):
        with pytest.raises(ValueError, match=r"."):
            Denials.from_bytes(data)


def test_every_process_sees_a_denial_and_its_end(store: DerivativeStore) -> None:
    here, there = DenialList(store.inventory, 0), DenialList(store.inventory, 0)
    assert there.find("a/1.tif") is None
    here.deny(denial("a/"))
    assert there.find("a/1.tif") is not None
    here.deny(denial("b.tif"))
    assert {each.path for each in there.all()} == {"a/", "b.tif"}
    assert there.lift("a/")
    assert not there.lift("a/")
    assert here.find("a/1.tif") is None
    assert here.find("b.tif") is not None, "only one was lifted"


def test_between_two_looks_a_hit_asks_nothing_and_those_who_publish_ask_always(
    store: DerivativeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = DenialList(store.inventory), DenialList(store.inventory, 3600)
    assert there.find("a") is None
    here.deny(denial("a"))
    assert there.find("a") is None, "not looked at yet"
    assert there.find_now("a") is not None
    monkeypatch.setattr(type(store.inventory), "denials_version", None)
    assert there.find("a") is not None


def test_changes_at_the_same_moment_are_all_kept(store: DerivativeStore) -> None:
    lists = [DenialList(store.inventory) for _ in range(4)]
    threads = [threading.Thread(target=each.deny, args=(denial(f"{number}.tif"),)) for number, each in enumerate(lists)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {each.path for each in lists[0].all()}
    assert found == {f"{number}.tif" for number in range(4)}


def test_the_file_of_denials_is_no_derivative(store: DerivativeStore) -> None:
    DenialList(store.inventory).deny(denial("a"))
    assert list(store.entries()) == []
