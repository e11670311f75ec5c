"""A folder as origin: for masters on a disk that the workers see, and for the built-in samples."""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from mezcal.errors import MasterDenied, MasterForbidden, MasterMissing, NotAnImage, OriginFailed
from mezcal.origin import urls
from mezcal.origin.freshness import MasterStatus, compare
from mezcal.origin.master import Master
from mezcal.origin.responses import too_large
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from mezcal.errors import Failure
    from mezcal.settings import Settings

ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}

LOOKED_AT_MOST = 2000  # entries: a page is waiting for this
SHOWN = {".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg"}

logger = logging.getLogger(__name__)


class FolderOrigin:
    """The regular files under a `file:///` folder; a link out of it leads nowhere."""

    def __init__(self, settings: Settings) -> None:
        self._folder = _folder(settings.repo_base_url or "")
        self.base_url = "file:///" + quote(f"{self._folder}/".lstrip("/"), safe="/" + urls.PCHAR)
        self._limit = settings.origin_max_bytes
        self._denied = settings.origin_denied_status

    def path_of(self, url: str) -> str | None:
        """The path under the folder that *url* names, decoded; None if it lies elsewhere."""
        return urls.path_under(self.base_url, url)

    def listing(self, most: int) -> list[str]:
        """The first masters' paths, by their names; a large folder is not read to its end."""
        found: list[str] = []
        seen = 0
        for folder, below, names in os.walk(self._folder):
            below.sort()
            images = sorted(name for name in names if Path(name).suffix.lower() in SHOWN)
            found += [os.path.relpath(Path(folder, name), self._folder) for name in images]
            seen += len(names) + len(below)
            if len(found) >= most or seen > LOOKED_AT_MOST:
                break
        return found[:most]

    def changed_since(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:
        """Whether the file at *path* is still the one with these validators."""
        try:
            with self.open(path) as master:
                return compare({"ETag": master.etag or ""}, etag, last_modified)
        except MasterMissing:
            return MasterStatus.GONE

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """The master at *path*, opened where it lies: nothing is copied."""
        with self._file(path) as file:
            seen = os.fstat(file.fileno())
            self._judge(seen)

            def unchanged() -> None:
                if _version(os.fstat(file.fileno())) != _version(seen):
                    raise OriginFailed("the master changed while it was read")

            yield Master(
                file=file,
                source=urls.join(self.base_url, path),
                etag=f'"{_version(seen)}"',
                last_modified=formatdate(seen.st_mtime, usegmt=True),
                size=seen.st_size,
                arrival=unchanged,
                arrived=lambda: seen.st_size,
            )

    def _file(self, path: str) -> BinaryIO:
        try:
            real = os.path.realpath(self._folder / path, strict=True)
            if not Path(real).is_relative_to(os.path.realpath(self._folder)):
                logger.warning("%s leads out of the folder, to %s", path, real)
                raise MasterMissing("the folder has no such file")
            # O_NONBLOCK: to open a pipe without a writer would wait for one.
            return os.fdopen(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY), "rb")
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> Failure:
        if error.errno in ABSENT or error.errno == errno.EISDIR:
            return MasterMissing("the folder has no such file")
        if error.errno in {errno.EACCES, errno.EPERM}:
            kind = MasterForbidden if self._denied == 403 else MasterDenied
            return kind("the file may not be read")
        return OriginFailed(f"the file cannot be opened: {error.strerror}")

    def _judge(self, seen: os.stat_result) -> None:
        if not stat.S_ISREG(seen.st_mode):
            raise MasterMissing("the folder has no such file")
        if seen.st_size == 0:
            raise NotAnImage("the master is empty")
        if seen.st_size > self._limit:
            raise too_large(self._limit)


def _version(seen: os.stat_result) -> str:
    return f"{seen.st_mtime_ns:x}-{seen.st_size:x}"


def _folder(base: str) -> Path:
    folder = Path(unquote(base.removeprefix("file://")))
    if not os.access(folder / ".", os.R_OK | os.X_OK):
        raise WrongSetting(f"REPO_BASE_URL is {base!r}: there is no such folder that may be read")
    return folder
