"""An origin with its name, and the paths that are its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mezcal.settings.validation import Settings

REPOSITORY = "repository"  # the name of the origin of REPO_BASE_URL


@dataclass(frozen=True, slots=True)
class NamedOrigin:
    """One origin. The paths of its masters begin with *prefix*, which is empty or ends with a slash.

    In *settings*, REPO_BASE_URL and all that belongs to it are those of this origin.
    """

    name: str
    prefix: str
    settings: Settings

    @property
    def base_url(self) -> str:
        """The URL of its masters, as it was configured."""
        return self.settings.repo_base_url or ""

    @property
    def limits_name(self) -> str:
        """The name of its limits and its circuit breaker in Redis and in metrics; "" for a folder, which has none.

        It is the host of REPO_BASE_URL, or the name in ORIGINS_FILE.
        """
        if self.settings.has_folder_origin:
            return ""
        return urlsplit(self.base_url).netloc.rpartition("@")[2] if self.name == REPOSITORY else self.name

    def has(self, path: str) -> bool:
        """Returns True if *path* begins with the prefix."""
        return path.startswith(self.prefix)
