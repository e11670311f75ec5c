"""Where masters come from: a repository over HTTP, or a folder.

Read `repository.py` for the story of one download; `growing_file.py` is why a master can be converted while it is
still on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mezcal.origin import urls
from mezcal.origin.client import OriginClient, trusted_authorities, unheard
from mezcal.origin.fetch import fetched
from mezcal.origin.folder import FolderOrigin
from mezcal.origin.freshness import MasterStatus
from mezcal.origin.master import Master
from mezcal.origin.repository import OriginRepository
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from mezcal.settings import Settings

__all__ = [
    "FolderOrigin",
    "Master",
    "MasterStatus",
    "Origin",
    "OriginClient",
    "OriginRepository",
    "fetched",
    "open_origin",
    "trusted_authorities",
    "unheard",
    "urls",
]


class Origin(Protocol):
    """Gives masters by their path under `base_url`, which always ends with a slash."""

    base_url: str

    def open(self, path: str) -> AbstractContextManager[Master]:
        """The master at *path*, which is a `recipe.plain_path`; raises the origin's failures of `errors`."""

    def changed_since(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:
        """Whether the master at *path* is still the one that had these validators; raises as `open` does."""

    def path_of(self, url: str) -> str | None:
        """The path under the base that *url* names, decoded; None if it lies elsewhere."""

    def listing(self, most: int) -> list[str]:
        """Some masters' paths, to show to people; none where the origin cannot tell."""


def open_origin(settings: Settings, heard: Callable[[str], None] = unheard) -> Origin:
    """The origin of REPO_BASE_URL; `WrongSetting` names the variable that cannot be used.

    *heard* is told how each request is answered, see `OriginClient`. Nothing is connected yet, so the origin may be
    made before a process forks.
    """
    base = settings.repo_base_url
    if base is None:
        raise WrongSetting("REPO_BASE_URL is not set: it may hold http://, https:// or file:///")
    if base.startswith("file://"):
        return FolderOrigin(settings)
    return OriginRepository(settings, heard)
