"""Several origins as one. Each has the paths that begin with its prefix; the longest prefix decides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mezcal.errors import (
    Failure,
    MasterDenied,
    MasterForbidden,
    OriginFailed,
    OriginKeyRefused,
    OriginRedirectRefused,
    OriginTimeout,
    OriginUnknown,
    TooLarge,
    UnusableResponse,
)
from mezcal.origin import urls
from mezcal.origin.several.listing import RoutedListing
from mezcal.settings.origins import REPOSITORY
from mezcal.settings.origins.tables import with_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mezcal.origin.master import Master, MasterDescription, MasterStatus
    from mezcal.origin.members import OriginMember, SingleOrigin

# Failures whose details do not say by themselves which origin it was.
OF_AN_ORIGIN = (
    *(OriginFailed, OriginTimeout, OriginKeyRefused, OriginRedirectRefused, UnusableResponse),
    *(MasterDenied, MasterForbidden, TooLarge),
)


class OriginRouter:
    """The masters of *members*, by paths that begin with the prefix of one of them."""

    def __init__(self, members: Sequence[OriginMember]) -> None:
        longest_first = sorted(members, key=lambda member: len(member.prefix), reverse=True)
        self.members = tuple(replace(member, hidden=_hidden_in(member, members)) for member in longest_first)
        self._by_url = sorted(self.members, key=lambda member: len(member.origin.base_url), reverse=True)
        self.listing = RoutedListing(self)

    def impatient(self) -> OriginRouter:
        """Return the same origins, whose requests are not repeated after a time-out."""
        return OriginRouter([replace(member, origin=member.origin.impatient()) for member in self.members])

    def of_path(self, path: str) -> tuple[OriginMember, str]:
        """Return the origin of the master at *path*, and the path of the master there. Raises `OriginUnknown`."""
        for member in self.members:
            if path.startswith(member.prefix) and path != member.prefix:
                rest = path.removeprefix(member.prefix)
                if rest.startswith(member.hidden):
                    break
                return member, rest
        prefixes = ", ".join(member.prefix for member in self.members if member.prefix)
        raise OriginUnknown(f"no origin has masters at this path: their paths begin with {prefixes}")

    def has(self, member: OriginMember, path: str) -> bool:
        """Return True if the master at *path* is one of *member*'s."""
        try:
            return self.of_path(path)[0] is member
        except OriginUnknown:
            return False

    def path_of(self, url: str) -> str | None:
        """Return the path of the master at *url*, None if no origin has it; the longest base URL decides.

        A master whose path would be that of another origin has none.
        """
        for member in self._by_url:
            rest = member.origin.path_of(url)
            if rest is not None:
                path = member.prefix + rest
                return path if self.has(member, path) else None
        return None

    def list_paths(self, most: int) -> list[str]:
        """Return up to *most* masters, about as many of each origin that has a list."""
        with ThreadPoolExecutor(len(self.members)) as pool:  # a bucket that does not answer holds up no other
            listed = list(pool.map(lambda member: member.origin.list_paths(most), self.members))
        shown = [
            [path for path in (member.prefix + rest for rest in paths) if self.has(member, path)]
            for member, paths in zip(self.members, listed, strict=True)
        ]
        longest = max(map(len, shown), default=0)
        in_turn = [paths[place] for place in range(longest) for paths in shown if place < len(paths)]
        return in_turn[:most]

    def revalidate(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:
        """Ask the origin of *path* if the master still has these validators."""
        member, rest = self.of_path(path)
        with _naming(member):
            return member.origin.revalidate(rest, etag, last_modified)

    def describe(self, path: str) -> MasterDescription:
        """Return what the origin of *path* says of the master, without its bytes."""
        member, rest = self.of_path(path)
        with _naming(member):
            return member.origin.describe(rest)

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """Open the master at *path*. Raises `OriginUnknown`, and the failures of its origin."""
        member, rest = self.of_path(path)
        with _naming(member), member.origin.open(rest) as master:
            yield master


@contextmanager
def _naming(member: OriginMember) -> Iterator[None]:
    """Put the name of *member* before the detail of a failure that is its own."""
    try:
        yield
    except Failure as failure:
        name = f"{member.name}: "
        if isinstance(failure, OF_AN_ORIGIN) and not failure.detail.startswith(name):
            known = failure.detail if member.name == REPOSITORY else with_fields(failure.detail)
            failure.detail = name + known
            failure.args = (failure.detail,)
        raise


def _hidden_in(member: OriginMember, members: Sequence[OriginMember]) -> tuple[str, ...]:
    """Return the beginnings of paths in *member* that are below the address of another origin.

    Without this, names of masters could lead the credential of one origin to another one on the same server.
    """
    places = (
        urls.path_under(mine, theirs)
        for other in members
        if other is not member
        for mine in _addresses(member.origin)
        for theirs in _addresses(other.origin)
    )
    return tuple(sorted({place for place in places if place}))


def _addresses(origin: SingleOrigin) -> set[str]:
    """Return the URLs by which others name *origin*, and at which it is asked."""
    addresses = getattr(origin, "addresses", None)
    return {origin.base_url} if addresses is None else {origin.base_url, addresses.internal}
