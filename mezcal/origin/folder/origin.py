"""The regular files of a folder as masters."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from mezcal.errors import (
    BadRecipe,
    MasterEmpty,
    MasterForbidden,
    MasterIncomplete,
    MasterMissing,
    MasterOutside,
    MasterUnreadable,
    OriginFailed,
)
from mezcal.origin import urls
from mezcal.origin.fixity.digest_files import SIZE_MAX, digest_files
from mezcal.origin.folder.hashing import FileHash
from mezcal.origin.folder.listing import FolderListing, has_image_suffix
from mezcal.origin.folder.opening import open_without_links
from mezcal.origin.master import Master, MasterDescription, MasterStatus, compare_validators
from mezcal.origin.members import OneOrigin
from mezcal.origin.responses import too_large
from mezcal.recipe.path import plain_path
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from mezcal.errors import Failure
    from mezcal.origin.fixity import Digest
    from mezcal.settings import Settings

ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
LISTING_ENTRIES_MAX = 2000  # that are read for a listing: a page waits for it
LEFT_ALONE = {"lost+found"}  # of an empty disk

logger = logging.getLogger(__name__)


class FolderOrigin(OneOrigin):
    """The regular files under a `file:///` folder. A link that leads out of it is not followed."""

    def __init__(self, settings: Settings) -> None:
        self._folder = _readable_folder(settings.repo_base_url or "")
        self.base_url = "file:///" + quote(f"{self._folder}/".lstrip("/"), safe="/" + urls.PCHAR)
        self.listing = FolderListing(str(self._folder))
        self._limit = settings.origin_max_bytes
        self._denied = settings.origin_denied_status
        self._digest_files = digest_files(settings)

    def list_paths(self, most: int) -> list[str]:
        """Return the first masters' paths in the order of their names. A large folder is not read to its end."""
        return self.first_paths(most)[0]

    def first_paths(self, most: int) -> tuple[list[str], bool]:
        """Return the same as `list_paths`, and True if these are all.

        Hidden names are skipped, and those that no path can have: with control characters, or not in UTF-8.
        """
        paths: list[str] = []
        entries = 0
        for folder, subfolders, names, _ in os.fwalk(self._folder):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            images = sorted(name for name in names if has_image_suffix(name) and not name.startswith("."))
            found = (os.path.relpath(Path(folder, name), self._folder) for name in images)
            paths += islice(filter(self._can_be_shown, found), most + 1 - len(paths))
            entries += len(names) + len(subfolders)
            if len(paths) > most or entries > LISTING_ENTRIES_MAX:
                return paths[:most], False
        return paths[:most], True

    def _can_be_shown(self, path: str) -> bool:
        """Return True if clients can ask for *path*, and it is no link that leads out of the folder or nowhere."""
        return _can_be_requested(path) and (not (self._folder / path).is_symlink() or self.listing.has_file(path))

    def revalidate(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:
        """Compare the file at *path* with the validators of the one that was read before."""
        try:
            with self.open(path) as master:
                return compare_validators({"ETag": master.etag or ""}, etag, last_modified)
        except MasterMissing:
            if self._may_be_unmounted(path):
                raise OriginFailed(
                    "the file is missing, and so is all else in its folder: is a disk not mounted?"
                ) from None
            return MasterStatus.GONE

    def _may_be_unmounted(self, path: str) -> bool:
        """Returns True if the folder of *path* is missing, or has no file and no folder."""
        try:
            with os.scandir((self._folder / path).parent) as entries:
                return not any(entry.name not in LEFT_ALONE and entry.name[0] != "." for entry in entries)
        except OSError:
            return True

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """Open the master at *path* in place. Nothing is copied."""
        with self._open_file(path) as file, ExitStack() as stack:
            status = os.fstat(file.fileno())
            self._check(status)
            expected = self._digest_in_file(path)
            hashed = FileHash(file.fileno(), expected) if expected is not None else None
            if hashed is not None:
                stack.enter_context(hashed.running())

            def check_unchanged() -> None:
                if hashed is not None:
                    hashed.finish()
                if _version(os.fstat(file.fileno())) != _version(status):
                    raise MasterIncomplete("the master changed while it was read")

            yield Master(
                file=file,
                source=urls.join(self.base_url, path),
                etag=_etag(status),
                last_modified=formatdate(status.st_mtime, usegmt=True),
                size=status.st_size,
                wait_complete=check_unchanged,
                bytes_received=lambda: status.st_size,
                declares_digest=hashed is not None,
                verified_digest=lambda: hashed.verified if hashed is not None else None,
            )

    def describe(self, path: str) -> MasterDescription:
        """Return what the folder has of the master at *path*, without reading it. Raises as `open`."""
        with self._open_file(path) as file:
            status = os.fstat(file.fileno())
        modified = formatdate(status.st_mtime, usegmt=True)
        return MasterDescription(_etag(status), modified, status.st_size, self._digest_in_file(path))

    def _digest_in_file(self, path: str) -> Digest | None:
        """Return the digest in the file of the master at *path*, None if there is none."""
        if self._digest_files is None:
            return None
        try:
            with self._open_file(self._digest_files.path_for(path)) as file:
                content = file.read(SIZE_MAX)
        except (MasterMissing, MasterUnreadable, MasterForbidden) as failure:
            if not isinstance(failure, MasterMissing):
                logger.warning("the digest of %s is not known: %s", path, failure.detail)
            return None
        found = self._digest_files.read(content, path)
        if found is None:
            logger.warning("%s has no digest of %s", self._digest_files.path_for(path), path)
        return found

    def _open_file(self, path: str) -> BinaryIO:
        try:
            root = os.path.realpath(self._folder)
            self._refuse_outside(path, root)
            real = Path(os.path.realpath(self._folder / path, strict=True))
            if not real.is_relative_to(root):  # a link that another program has just changed
                raise _missing(path)
            if real.is_dir():
                raise MasterMissing(f"{path} is a folder: name a file in it")
            return open_without_links(root, real.relative_to(root).parts)
        except OSError as error:
            raise self._failure(path, error) from error

    def _refuse_outside(self, path: str, root: str) -> None:
        """Raise `MasterOutside` if *path* leads out of *root*, also if there is no file: clients learn nothing."""
        real = Path(os.path.realpath(self._folder / path))
        if not real.is_relative_to(root):
            logger.warning("%s leads out of the folder, to %s", path, real)
            raise MasterOutside(f"it leads out of the folder, to {real}")

    def _failure(self, path: str, error: OSError) -> Failure:
        if error.errno in ABSENT or error.errno == errno.EISDIR:
            return _missing(path)
        if error.errno in {errno.EACCES, errno.EPERM}:
            failure = MasterForbidden if self._denied == 403 else MasterUnreadable
            return failure("the file may not be read")
        return OriginFailed(f"the file cannot be opened: {error.strerror}")

    def _check(self, status: os.stat_result) -> None:
        if status.st_size == 0:
            raise MasterEmpty("the file is empty")
        if status.st_size > self._limit:
            failure = too_large(self._limit, status.st_size)
            failure.validators = _etag(status), None
            raise failure


def _missing(path: str) -> MasterMissing:
    return MasterMissing(f"the folder of masters has no file {path}")


def _can_be_requested(path: str) -> bool:
    """Return True unless *path* is one that no client can ask for."""
    try:
        plain_path(path)
    except BadRecipe:
        return False
    return True


def _etag(status: os.stat_result) -> str:
    return f'"{_version(status)}"'


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _readable_folder(base: str) -> Path:
    folder = Path(unquote(base.removeprefix("file://")))
    if not os.access(folder / ".", os.R_OK | os.X_OK):
        hint = "check the folder, its mount, and whether the user that mezcal runs as may read it"
        raise WrongSetting(f"REPO_BASE_URL is {base!r}: there is no such folder, or it may not be read", hint)
    return folder
