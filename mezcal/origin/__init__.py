"""Where masters come from: a repository over HTTP, a bucket, or a folder.

Read `repository.py` and `download.py` for one download. `growing_file.py` is why a master can be converted while it
is still arriving. `several/` makes several origins one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from mezcal.origin import urls
from mezcal.origin.folder import FolderOrigin, FolderPage, Unreadable
from mezcal.origin.growing_file import FreeSpaceCallback, free_nothing
from mezcal.origin.master import Master, MasterDescription, MasterStatus
from mezcal.origin.members import OriginMember
from mezcal.origin.repository import OriginRepository, web_access
from mezcal.origin.several import OriginRouter
from mezcal.settings import WrongSetting
from mezcal.settings.origins import REPOSITORY
from mezcal.settings.origins.tables import in_words_of_the_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from mezcal.http import Observer
    from mezcal.settings import Settings
    from mezcal.settings.origins import NamedOrigin

    AnyOrigin = FolderOrigin | OriginRepository
    OriginObserver = Callable[[str, str], None]  # gets the name of an origin, and the outcome of a request

__all__ = [
    "DescribesMasters",
    "FolderOrigin",
    "FolderPage",
    "ListingOrigin",
    "Master",
    "MasterDescription",
    "MasterListing",
    "MasterSource",
    "MasterStatus",
    "Origin",
    "OriginMember",
    "Unreadable",
    "foreign_urls",
    "open_origin",
    "urls",
]


class MasterSource(Protocol):
    """Opens masters by the names that a recipe gives them: paths, or the ids of frames."""

    def open(self, path: str, /) -> AbstractContextManager[Master]:
        """Open the master *path*. Raises the origin's failures of `errors`."""


class Origin(MasterSource, Protocol):
    """The origin of all masters that have paths. Each *path* is a `recipe.plain_path`.

    It may consist of several, its *members*, the longest prefix first.
    """

    @property
    def members(self) -> Sequence[OriginMember]:
        """The origins that it consists of."""

    def impatient(self) -> Self:
        """Return the same origin, whose requests are not repeated after a time-out: it failed others lately."""

    def of_path(self, path: str, /) -> tuple[OriginMember, str]:
        """Return the origin of the master at *path*, and the master's path there. Raises `OriginUnknown`."""

    def revalidate(self, path: str, etag: str | None, last_modified: str | None, /) -> MasterStatus:
        """Ask if the master at *path* still has the validators of the one that was read before. Raises as `open`."""

    def path_of(self, url: str, /) -> str | None:
        """Return the decoded path of the master at *url*, None if it is elsewhere."""

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


def ignore_outcomes(_name: str, _outcome: str) -> None:
    """Count nothing: the observer of requests that are not counted."""


def open_origin(
    settings: Settings, observer: OriginObserver = ignore_outcomes, free_space: FreeSpaceCallback = free_nothing
) -> Origin:
    """Return the origin of all masters: that of REPO_BASE_URL, those of ORIGINS_FILE, or both as one.

    Raises `WrongSetting` with the variable, or the field, that cannot be used. *observer* gets the name of the origin
    and the outcome of each request. *free_space* is called when the disk of the scratch files is full.
    Nothing is connected yet, so the origin may be created before a process forks.
    """
    if not settings.origins:
        raise WrongSetting("REPO_BASE_URL is not set: it may be http://.., https://.., s3://.. or file:///..")
    opened = [(named, _open_named(named, settings, observer, free_space)) for named in settings.origins]
    if len(opened) == 1 and not opened[0][0].prefix:
        return opened[0][1]
    return OriginRouter([OriginMember(named.name, named.prefix, origin) for named, origin in opened])


def foreign_urls(named: NamedOrigin, settings: Settings) -> list[str]:
    """Return the web addresses of all origins of *settings* but *named*: they must not get its credential."""
    others = [other.settings for other in settings.origins if other.name != named.name]
    given = [url for other in others for url in (other.repo_base_url, other.repo_internal_url)]
    return [f"{url.rstrip('/')}/" for url in given if url and url.startswith("http")]


def _open_named(
    named: NamedOrigin, settings: Settings, observer: OriginObserver, free_space: FreeSpaceCallback
) -> AnyOrigin:
    try:
        return _open(named.settings, partial(observer, named.name), free_space, foreign_urls(named, settings))
    except WrongSetting as wrong:
        if named.name == REPOSITORY:
            raise
        raise WrongSetting(in_words_of_the_file(str(wrong), named.name)) from wrong


def _open(settings: Settings, observer: Observer, free_space: FreeSpaceCallback, foreign: Sequence[str]) -> AnyOrigin:
    base_url = settings.repo_base_url or ""
    if base_url.startswith("file://"):
        return FolderOrigin(settings)
    if base_url.startswith("s3://"):
        from mezcal.origin.bucket import BucketOrigin  # noqa: PLC0415 - botocore: 18 MB that only a bucket needs

        return BucketOrigin(settings, observer, free_space)
    return OriginRepository(web_access(settings), settings, observer, free_space, foreign)
