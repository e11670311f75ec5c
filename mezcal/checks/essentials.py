"""What every miss needs: the broker and the store."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed, Severity
from mezcal.store import LocalStore

if TYPE_CHECKING:
    from mezcal.jobs import BrokerProbe
    from mezcal.store import Store

OLDEST = (6, 2)  # the oldest broker that was tried
FULL = 0.9  # of the broker's maxmemory
LITTLE = 2**30  # bytes: some hundred large mezzanines


def broker(probe: BrokerProbe) -> Check:
    """That it answers, and throws no jobs away."""
    return Check("broker", partial(_broker, probe), "start `mezcal up`, or see to the server that REDIS_URL names")


def store(of: Store) -> Check:
    """That a derivative could be stored now."""
    return Check("store", partial(_store, of), "see to the folder of STORAGE_DIR: its disk, its owner, its mount")


def thorough_broker(probe: BrokerProbe) -> Check:
    """As `broker`, with its version, and whether it keeps the queue over a restart."""
    return Check("broker", partial(_thorough_broker, probe), broker(probe).hint)


def thorough_store(of: Store) -> Check:
    """As `store`, with a rename over an existing file, and how much room there is."""
    return Check("store", partial(_thorough_store, of), store(of).hint)


def _broker(probe: BrokerProbe) -> str:
    probe.check_policy()
    return "ok"


def _store(of: Store) -> str:
    of.check()
    return "ok"


def _thorough_broker(probe: BrokerProbe) -> str:
    probe.check_policy()
    info = probe.info()
    named = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise CheckFailed(f"{named} {version} is too old", "install Redis 6.2 or later, or any Valkey")
    told = f"{named} {version}, keeps what it is given (noeviction)"
    if info.get("maxmemory") and info["used_memory"] > FULL * info["maxmemory"]:
        raise CheckFailed(f"{told}, but its memory is nearly full", "give it more maxmemory", Severity.WARNING)
    if not info.get("aof_enabled"):
        raise CheckFailed(f"{told}, but forgets the queue when it restarts", "set appendonly yes", Severity.WARNING)
    return f"{told}, append-only"


def _thorough_store(of: Store) -> str:
    of.check()
    free = of.free_bytes()
    if not isinstance(of, LocalStore) or free is None:
        return "can be written"
    _check_rename(of)
    told = f"can be written, renames replace whole files, {free / 2**30:,.1f} GiB free"
    if free < LITTLE:
        raise CheckFailed(told, "make room, or have less kept", Severity.WARNING)
    return told


def _check_rename(of: LocalStore) -> None:
    """What publishing stands on: a rename over an existing file replaces it, within one file system."""
    with of.draft() as new, of.draft() as old:
        new.write_bytes(b"new")
        old.write_bytes(b"old")
        os.replace(new, old)  # noqa: PTH105 - the very call that `rename` of the store makes
        if new.exists() or old.read_bytes() != b"new":
            raise CheckFailed("a rename does not replace a file at once", "use a file system with POSIX renames")
        if new.parent.stat().st_dev != of.root.stat().st_dev:
            raise CheckFailed(f"{new.parent} is another file system than {of.root}", "mount only the cache's root")
