"""What people write to name masters: one rule for all commands.

A name is a path in the repository, `./path`, an absolute path or a `file://` URL below a folder origin, or an
`http(s)://` or `s3://` URL below REPO_BASE_URL. A folder or a pattern names all images below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mezcal.errors import BadRecipe
from mezcal.ingest.manifests import Skipped
from mezcal.origin import FolderOrigin, ListingOrigin, Unreadable
from mezcal.recipe import Mezzanine
from mezcal.recipe.path import plain_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.origin import Origin

NETWORK = ("http://", "https://", "s3://")
EXAMPLE = "box1/page001.tif"
NO_LIST = "a repository has no list of its masters: name them by --from or --manifest"
ONE_MASTER = "this names a folder or many masters; here it must be one master"
LEADING_DOTS = re.compile(r"\A(?:\./+)+")
TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
REGEX = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class MasterGroup:
    """All masters whose paths begin with *prefix* and match *pattern*, if there is one. *name* is what was given."""

    name: str
    prefix: str = ""
    pattern: str = ""

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return pattern_regex(self.pattern or "**")

    @property
    def folder(self) -> str:
        """The path of the folder that holds all of them."""
        return self.prefix.rpartition("/")[0]

    @property
    def depth(self) -> int | None:
        """How many folders below that one they may lie; None if that is not limited."""
        return None if "**" in (self.pattern or "**") else self.pattern.count("/") - self.prefix.count("/")

    def has(self, path: str) -> bool:
        """Return True if *path* is one of them."""
        return path.startswith(self.prefix) and self._regex.fullmatch(path) is not None


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """Return a regular expression for the shell *pattern*, where `*` stays in a folder and `**` does not.

    Raises `BadRecipe` if the pattern cannot be read.
    """
    try:
        return re.compile("".join(map(_token_regex, TOKEN.findall(pattern))), re.DOTALL)
    except re.error as error:
        raise BadRecipe(f"the pattern cannot be read: {error.msg}") from None


def _token_regex(token: str) -> str:
    if token in REGEX:
        return REGEX[token]
    if len(token) == 1:
        return re.escape(token)
    inverted = token.startswith("[!")
    characters = re.sub(r"([\\\[\]^&~|])", r"\\\1", token[2 if inverted else 1 : -1])
    return f"(?!/)[{'^' if inverted else ''}{characters}]"


class MasterNames:
    """Understands names for one origin; None if REPO_BASE_URL is not set."""

    def __init__(self, origin: Origin | None) -> None:
        self._origin = origin
        self._listing = origin.listing if isinstance(origin, ListingOrigin) else None
        self._members = origin.members if origin else ()
        self._folders = [
            (member.prefix, member.origin.listing)
            for member in self._members
            if isinstance(member.origin, FolderOrigin)
        ]

    def path_of_url(self, url: str) -> str | None:
        """Return the path of *url*, None if it is not one of the origin's."""
        return self._origin.path_of(url) if self._origin else None

    def parse(self, name: str) -> Mezzanine | MasterGroup:
        """Return what *name* names. Raises `BadRecipe` with what would be right."""
        path = self._relative(name)
        listing = self._listing
        if ("*" in path or "?" in path) and not (listing and listing.has_file(path)):
            return _pattern(name, path)
        if not path or path.endswith("/") or (listing and listing.has_folder(path)):
            folder = path.rstrip("/")
            return MasterGroup(name, f"{plain_path(folder)}/" if folder else "")
        return Mezzanine.parse(path)

    def parse_master(self, name: str) -> Mezzanine:
        """Return the one master that *name* names; it is no pattern. Raises `BadRecipe` with what would be right."""
        path = self._relative(name)
        if not path or path.endswith("/"):
            raise BadRecipe(ONE_MASTER)
        return Mezzanine.parse(path)

    def masters_of_list(self, lines: Iterable[str]) -> Iterator[Mezzanine | Skipped]:
        """Yield the master that each of *lines* names."""
        for line in lines:
            try:
                yield self.parse_master(line)
            except BadRecipe as bad:
                yield Skipped(line, bad.detail)

    def masters(self, names: Iterable[str]) -> Iterator[Mezzanine | Skipped]:
        """Yield the masters that *names* name, those of a folder or a pattern from the origin's own list."""
        for name in names:
            try:
                named = self.parse(name)
            except BadRecipe as bad:
                yield Skipped(name, bad.detail)
                continue
            if isinstance(named, MasterGroup):
                yield from self.masters_of_group(named)
            else:
                yield named

    def masters_of_group(self, group: MasterGroup) -> Iterator[Mezzanine | Skipped]:
        """Yield the masters of *group*, as the folders are read."""
        if self._listing is None:
            yield Skipped(group.name, NO_LIST)
            return
        empty = True
        for found in self._listing.walk(group.folder, group.depth):
            if isinstance(found, Unreadable):
                empty = False
                yield Skipped(found.path or group.name, found.why)
            elif group.has(found):
                empty = False
                yield _parsed(found)
        if empty:
            yield Skipped(group.name, "there is no image there" if not group.pattern else "no image matches it")

    def _relative(self, name: str) -> str:
        """Return *name* as a path in the repository. A slash at its end stays."""
        if name.startswith(NETWORK):
            return self._path_of_url(name)
        if name.startswith("file:"):
            return self._path_of_absolute(unquote(urlsplit(name).path), name)
        if name.startswith("/"):
            return self._path_of_absolute(name, name)
        if name in {".", ".."} or name.startswith(("./", "../")):
            return self._path_from_here(name)
        return name

    def _path_of_url(self, url: str) -> str:
        bases = {member.origin.base_url: member.prefix for member in self._members}
        whole = bases.get(url.rstrip("/") + "/")
        if whole is not None and self._listing:
            return whole
        path = self.path_of_url(url)
        if path is None and len(bases) > len(self._folders):
            begin = " or ".join(base for base in bases if base.startswith(NETWORK))
            raise BadRecipe(f"this URL is not in the repository: its URLs begin with {begin}")
        if path is None:
            raise BadRecipe(f"REPO_BASE_URL is no such URL: give the path relative to the repository, as {EXAMPLE}")
        return path

    def _path_of_absolute(self, path: str, name: str) -> str:
        found = self._in_a_folder(path)
        if found is not None:
            return found
        if self._folders:
            folders = " or ".join(folder.folder for _, folder in self._folders)
            raise BadRecipe(f"it is not below the repository's folder, {folders}")
        shown = path.lstrip("/") if name.startswith("/") else EXAMPLE
        raise BadRecipe(f"give the path relative to the repository, without a leading slash: {shown or EXAMPLE}")

    def _in_a_folder(self, absolute: str) -> str | None:
        """Return the path of the file or folder that is *absolute* on this machine, None if no origin has it."""
        for prefix, folder in self._folders:
            found = folder.path_of(absolute)
            if found is not None and self._is_of(prefix, prefix + found):
                return prefix + found
        return None

    def _is_of(self, prefix: str, path: str) -> bool:
        """Return True if *prefix* is the one that decides which origin has *path*."""
        return next((member.prefix for member in self._members if path.startswith(member.prefix)), None) == prefix

    def _path_from_here(self, name: str) -> str:
        """Return the path of *name* seen from the current folder, if that leads into the repository's folder.

        Elsewhere `./` is dropped: the lines that `find .` prints in the repository's folder begin with it.
        """
        found = self._in_a_folder(f"{Path.cwd()}/{name}")
        if found is not None:
            return found
        if name.startswith("./") and (rest := LEADING_DOTS.sub("", name)):
            return rest
        raise BadRecipe(f"it leads out of the repository: give the path relative to the repository, as {EXAMPLE}")


def _pattern(name: str, path: str) -> MasterGroup:
    pattern = f"{path}**" if path.endswith("/") else path
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    prefix = fixed[: fixed.rfind("/") + 1]
    if prefix:
        plain_path(prefix.rstrip("/"))
    pattern_regex(pattern)  # raises now, and not when the first path is compared
    return MasterGroup(name, prefix, pattern)


def _parsed(path: str) -> Mezzanine | Skipped:
    try:
        return Mezzanine.parse(path)
    except BadRecipe as bad:
        return Skipped(path, bad.detail)
