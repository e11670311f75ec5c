"""Where derivatives are kept: a folder or a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.recipe import profiles_of
from mezcal.store.local.layout import FileNames
from mezcal.store.local.store import LocalStore
from mezcal.store.protocols import DerivativeStore, Housekeeping, SignsUrls, Store
from mezcal.store.values import Described, Opened, Replaced, Sidecar, Stored, StoredEntry

if TYPE_CHECKING:
    from mezcal.settings import Settings

__all__ = [
    "DerivativeStore",
    "Described",
    "Housekeeping",
    "LocalStore",
    "Opened",
    "Replaced",
    "Sidecar",
    "SignsUrls",
    "Store",
    "Stored",
    "StoredEntry",
    "open_store",
]


def open_store(settings: Settings) -> DerivativeStore:
    """Returns the store of *settings*. Creates nothing and connects to nothing before the first use."""
    if settings.storage == "s3":
        from mezcal.store.s3 import S3Store  # noqa: PLC0415 - botocore: 18 MB that only a bucket needs

        return S3Store(settings)
    names = FileNames.of(profiles_of(settings).values())
    return LocalStore(settings.cache_dir, settings.storage_layout, settings.pin_seconds, names)
