"""Where masters come from: a repository over HTTP, a bucket, or a folder.

Read `repository.py` and `download.py` for one download. `growing_file.py` is why a master can be converted while it
is still arriving.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mezcal.http import ignore_outcome
from mezcal.origin import urls
from mezcal.origin.folder import FolderOrigin, FolderPage, Unreadable
from mezcal.origin.growing_file import FreeSpaceCallback, free_nothing
from mezcal.origin.master import Master, MasterDescription, MasterStatus
from mezcal.origin.repository import OriginRepository, web_access
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mezcal.http import Observer
    from mezcal.settings import Settings

__all__ = [
    "DescribesMasters",
    "FolderOrigin",
    "FolderPage",
    "ListingOrigin",
    "Master",
    "MasterDescription",
    "MasterListing",
    "MasterStatus",
    "Origin",
    "Unreadable",
    "open_origin",
    "urls",
]


class Origin(Protocol):
    """Opens masters by their path under `base_url`, which always ends with a slash."""

    base_url: str

    def open(self, path: str, /) -> AbstractContextManager[Master]:
        """Open the master at *path*, which is a `recipe.plain_path`. Raises the origin's failures of `errors`."""

    def revalidate(self, path: str, etag: str | None, last_modified: str | None, /) -> MasterStatus:
        """Ask if the master at *path* still has the validators of the one that was read before. Raises as `open`."""

    def path_of(self, url: str, /) -> str | None:
        """Return the decoded path of *url* under the base, None if it is elsewhere."""

    def list_paths(self, most: int, /) -> list[str]:
        """Return the paths of up to *most* masters, to show to people; none if the origin has no list."""


class MasterListing(Protocol):
    """What an origin has, by paths relative to its base URL. "" is the base itself."""

    def has_folder(self, path: str, /) -> bool:
        """Return True if *path* is known to be a folder although no slash ends it."""

    def has_file(self, path: str, /) -> bool:
        """Return True if *path* is known to be a file although it looks like a pattern."""

    def walk(self, path: str, depth: int | None = None, /) -> Iterator[str | Unreadable]:
        """Yield the paths of all images below *path*, at most *depth* folders deeper, as they are read.

        What cannot be listed is yielded as `Unreadable`. Hidden names are left out.
        """


@runtime_checkable
class DescribesMasters(Protocol):
    """An origin that describes a master without sending it."""

    def describe(self, path: str, /) -> MasterDescription:
        """Ask what the origin declares of the master at *path*: validators, size, digest. Raises as `Origin.open`."""


@runtime_checkable
class ListingOrigin(Protocol):
    """An origin with a list of its masters: a folder or a bucket."""

    listing: MasterListing


def open_origin(
    settings: Settings, observer: Observer = ignore_outcome, free_space: FreeSpaceCallback = free_nothing
) -> Origin:
    """Return the origin of REPO_BASE_URL. Raises `WrongSetting` with the variable that cannot be used.

    *observer* gets the outcome of each request. *free_space* is called when the disk of the scratch files is full.
    Nothing is connected yet, so the origin may be created before a process forks.
    """
    base_url = settings.repo_base_url
    if base_url is None:
        raise WrongSetting("REPO_BASE_URL is not set: it may be http://.., https://.., s3://.. or file:///..")
    if base_url.startswith("file://"):
        return FolderOrigin(settings)
    if base_url.startswith("s3://"):
        from mezcal.origin.bucket import BucketOrigin  # noqa: PLC0415 - botocore: 18 MB that only a bucket needs

        return BucketOrigin(settings, observer, free_space)
    return OriginRepository(web_access(settings), settings, observer, free_space)
