"""The store, and the scratch folder where masters arrive."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed, Finding, Severity
from mezcal.errors import StoreDown
from mezcal.store.origin_note import ADOPT, ForeignStore
from mezcal.store.protocols import DependsOnServer, PublishesByRename

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store import DerivativeStore, Store
    from mezcal.store.origin_note import OriginNote
    from mezcal.store.protocols import ServerFeature

FREE_BYTES_LEAST = 2**30  # some hundred large mezzanines
FOLDERS_MAX = 20_000  # a second on a local disk
HINT = "check the folder of STORAGE_DIR: its disk, its owner, its mount"
BUCKET_HINT = "check STORAGE_URL, AWS_BUCKET and the key: docs/object-storage.md"


def store_check(store: Store, note: OriginNote) -> Check:
    """Check that a derivative can be stored now, and that the store is that of the origin."""
    return Check("store", partial(_check_store, store, note), _hint(store))


def thorough_store_check(store: DerivativeStore, note: OriginNote) -> Check:
    """Check the same as `store_check`, and a rename over an existing file, more folders, and the free space."""
    return Check("store", partial(_check_store_thoroughly, store, note), _hint(store))


def server_findings(store: DerivativeStore) -> list[Finding]:
    """Returns a finding for each feature that the store's server may lack."""
    if not isinstance(store, DependsOnServer):
        return []
    try:
        return [_feature_check(feature).run() for feature in store.server_features()]
    except StoreDown as failure:
        return [Finding("store", Severity.FAILED, failure.reason, failure.hint or BUCKET_HINT, 0.0)]


def scratch_check(settings: Settings) -> Check:
    """Check that masters can be written while they are downloaded."""
    return Check("scratch", partial(_check_scratch, settings), "check the folder of TMP_DIR: its disk, its owner")


def left_behind_check(folder: Path) -> Check:
    """Warn of the cache *folder*, which is not used since REPO_BASE_URL was added."""

    def test() -> str:
        raise CheckFailed(f"{folder} is not used since REPO_BASE_URL was added", level=Severity.WARNING)

    return Check("cache", test, f"stop mezcal and run once `{ADOPT} {folder}`, or remove the folder")


def _hint(store: object) -> str:
    return BUCKET_HINT if isinstance(store, DependsOnServer) else HINT


def _feature_check(feature: ServerFeature) -> Check:
    def test() -> str:
        if feature.hint:
            raise CheckFailed(feature.detail, level=Severity.WARNING)
        return feature.detail

    return Check(feature.name, test, feature.hint)


def _check_store(store: Store, note: OriginNote) -> str:
    try:
        note.check()
        store.check()
    except StoreDown as failure:
        raise CheckFailed(failure.reason, failure.hint) from failure
    except ForeignStore as foreign:
        raise CheckFailed(foreign.reason, foreign.remedy) from foreign
    return "ok"


def _check_store_thoroughly(store: DerivativeStore, note: OriginNote) -> str:
    _check_store(store, note)
    free = store.free_bytes()
    if not isinstance(store, PublishesByRename) or free is None:
        return "can be written"
    store.check_rename()
    store.check_folders(FOLDERS_MAX)
    detail = f"can be written, renames replace whole files, {free / 2**30:,.1f} GiB free"
    if free < FREE_BYTES_LEAST:
        raise CheckFailed(detail, "free space on the disk, or keep fewer derivatives", Severity.WARNING)
    return detail


def _check_scratch(settings: Settings) -> str:
    folder = settings.scratch_dir
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\xff")
    return f"{folder} can be written"
