"""What several origins have, by paths that begin with their prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mezcal.origin.folder import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mezcal.origin.members import OriginMember

NO_LIST = "the origin {name} is a repository, and has no list of its masters: name them by --from or --manifest"


class Routes(Protocol):
    """The origins, the longest prefix first, and which of them has a path."""

    @property
    def members(self) -> Sequence[OriginMember]:
        """All origins."""

    def has(self, member: OriginMember, path: str, /) -> bool:
        """Return True if the master at *path* is one of *member*'s."""


class RoutedListing:
    """The lists of all origins of *routes* as one. The folders of a prefix lead to its origin."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def has_folder(self, path: str) -> bool:
        """Return True if *path* leads to an origin, or is known to be a folder of one."""
        if any(member.prefix.startswith(f"{path}/") for member in self._routes.members):
            return True
        return self._asks("has_folder", path)

    def has_file(self, path: str) -> bool:
        """Return True if *path* is known to be a file although it looks like a pattern."""
        return self._asks("has_file", path)

    def walk(self, path: str, depth: int | None = None) -> Iterator[str | Unreadable]:
        """Yield the paths of all images below *path*, at most *depth* folders deeper, one origin after the other.

        An origin without a list is yielded as `Unreadable`.
        """
        folder = f"{path}/" if path else ""
        owner = self._owner(folder)
        if owner is not None:
            yield from self._walk_in(owner, folder.removeprefix(owner.prefix).rstrip("/"), depth)
        for member in self._routes.members:
            deeper = member.prefix.removeprefix(folder).count("/")
            is_below = member is not owner and member.prefix.startswith(folder)
            if is_below and (depth is None or depth >= deeper):
                yield from self._walk_in(member, "", None if depth is None else depth - deeper)

    def _walk_in(self, member: OriginMember, rest: str, depth: int | None) -> Iterator[str | Unreadable]:
        listing = getattr(member.origin, "listing", None)
        if listing is None:
            yield Unreadable(member.prefix + rest, NO_LIST.format(name=member.name))
            return
        for found in listing.walk(rest, depth):
            if isinstance(found, Unreadable):
                yield Unreadable(member.prefix + found.path, found.why)
            elif self._routes.has(member, member.prefix + found):
                yield member.prefix + found

    def _asks(self, question: str, path: str) -> bool:
        owner = self._owner(path)
        listing = getattr(owner.origin, "listing", None) if owner else None
        return bool(owner and listing and getattr(listing, question)(path.removeprefix(owner.prefix)))

    def _owner(self, path: str) -> OriginMember | None:
        """Return the origin with the longest prefix that begins *path*."""
        return next((member for member in self._routes.members if path.startswith(member.prefix)), None)
