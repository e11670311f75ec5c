"""Where masters come from: a repository over HTTP, or a folder.

Read `repository.py` and `download.py` for one download. `growing_file.py` is why a master can be converted while it
is still arriving.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mezcal.http import ignore_outcome
from mezcal.origin import urls
from mezcal.origin.folder import FolderOrigin, FolderPage
from mezcal.origin.growing_file import FreeSpaceCallback, free_nothing
from mezcal.origin.master import Master, MasterStatus
from mezcal.origin.repository import OriginRepository
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mezcal.http import Observer
    from mezcal.settings import Settings

__all__ = [
    "FolderOrigin",
    "FolderPage",
    "Master",
    "MasterStatus",
    "Origin",
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


def open_origin(
    settings: Settings, observer: Observer = ignore_outcome, free_space: FreeSpaceCallback = free_nothing
) -> Origin:
    """Return the origin of REPO_BASE_URL. Raises `WrongSetting` with the variable that cannot be used.

    *observer* gets the outcome of each request. *free_space* is called when the disk of the scratch files is full.
    Nothing is connected yet, so the origin may be created before a process forks.
    """
    base_url = settings.repo_base_url
    if base_url is None:
        raise WrongSetting("REPO_BASE_URL is not set: it may be http://.., https://.. or file:///..")
    if base_url.startswith("file://"):
        return FolderOrigin(settings)
    return OriginRepository(settings, observer, free_space)
