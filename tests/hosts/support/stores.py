"""How often each derivative was published in a store that hosts share."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

IN_MOVED_TO = 0x00000080
EVENT = struct.Struct("iIII")
IMAGE = "image.jpg"


class Publications(Protocol):
    """Counts what is published in a store."""

    def expect(self, paths: list[str]) -> None:
        """Count the images of the masters *paths* from now on."""

    def counts(self) -> Counter[str]:
        """Returns how often each master's image was published."""


class WatchedFolder:
    """A folder of derivatives; the kernel reports each file that is renamed into the folder of an expected image."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._events = self._libc.inotify_init1(0)
        self._watched: dict[int, str] = {}
        self._counts: Counter[str] = Counter()
        threading.Thread(target=self._read, daemon=True).start()

    def expect(self, paths: list[str]) -> None:
        """Count the images of the masters *paths* from now on."""
        for path in paths:
            folder = self._root / path
            folder.mkdir(parents=True)
            (folder / "kept").touch()  # housekeeping removes empty folders, and with them what is watched
            number = self._libc.inotify_add_watch(self._events, os.fsencode(folder), IN_MOVED_TO)
            assert number > 0, ctypes.get_errno()
            self._watched[number] = path

    def counts(self) -> Counter[str]:
        """Returns how often each master's image was published."""
        return Counter(self._counts)

    def _read(self) -> None:
        while True:
            data, at = os.read(self._events, 65_536), 0
            while at < len(data):
                number, _, _, length = EVENT.unpack_from(data, at)
                name = data[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0").decode()
                at += EVENT.size + length
                if name == IMAGE:
                    self._counts[self._watched[number]] += 1


class VersionedBucket:
    """A bucket whose versions are kept: each publication is one. *client* is botocore's."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self._bucket = client, bucket
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def expect(self, paths: list[str]) -> None:
        """Do nothing: all are counted."""

    def counts(self) -> Counter[str]:
        """Returns how often each master's image was published."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket)
        names = [version["Key"] for page in pages for version in page.get("Versions", [])]
        return Counter(name.removesuffix(f"/{IMAGE}") for name in names if name.endswith(f"/{IMAGE}"))
