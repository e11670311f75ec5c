"""One origin, and what it is among several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from mezcal.origin import urls
from mezcal.settings.origins import REPOSITORY

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mezcal.origin.master import Master, MasterDescription, MasterStatus


class SingleOrigin(Protocol):
    """The masters under one `base_url`, which ends with a slash. Each *path* is relative to it."""

    base_url: str

    def impatient(self) -> Self:
        """Return the same origin, whose requests are not repeated after a time-out: it failed others lately."""

    def open(self, path: str, /) -> AbstractContextManager[Master]:
        """Open the master at *path*. Raises the origin's failures of `errors`."""

    def revalidate(self, path: str, etag: str | None, last_modified: str | None, /) -> MasterStatus:
        """Ask if the master at *path* still has the validators of the one that was read before. Raises as `open`."""

    def describe(self, path: str, /) -> MasterDescription:
        """Return what the origin says of the master at *path*, without its bytes. Raises as `open`."""

    def path_of(self, url: str, /) -> str | None:
        """Return the decoded path of *url* under the base, None if it is elsewhere."""

    def list_paths(self, most: int, /) -> list[str]:
        """Return the paths of up to *most* masters, to show to people; none if the origin has no list."""


@dataclass(frozen=True, slots=True)
class OriginMember:
    """The *origin* whose masters have the paths that begin with *prefix*, "" for all paths.

    *hidden* are the paths in it, without the prefix, that are those of another origin: it is never asked for them.
    """

    name: str
    prefix: str
    origin: SingleOrigin
    hidden: tuple[str, ...] = ()

    def url_of(self, path: str) -> str:
        """Return the URL of the master at *path*, which begins with the prefix."""
        return urls.join(self.origin.base_url, path.removeprefix(self.prefix))


class OneOrigin:
    """What an origin is to those who work with several: their only member."""

    base_url: str

    @property
    def members(self: SingleOrigin) -> tuple[OriginMember, ...]:
        """Itself, for all paths."""
        return (OriginMember(REPOSITORY, "", self),)

    def of_path(self: SingleOrigin, path: str) -> tuple[OriginMember, str]:
        """Return this origin, and *path*."""
        return OriginMember(REPOSITORY, "", self), path

    def impatient(self) -> Self:
        """Return the origin itself: a folder has no time-outs."""
        return self

    def path_of(self, url: str) -> str | None:
        """Return the decoded path of *url* under the base, None if it is elsewhere."""
        return urls.path_under(self.base_url, url)
