"""A repository over HTTP: Fedora, or any server that gives its masters by GET."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mezcal.origin import urls
from mezcal.origin.client import OriginClient, unheard
from mezcal.origin.fetch import fetched
from mezcal.origin.freshness import MasterStatus, ask
from mezcal.origin.retries import Retries
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.origin.master import Master
    from mezcal.settings import Settings


class OriginRepository:
    """The masters under REPO_BASE_URL; makes no connection before the first `open`."""

    def __init__(self, settings: Settings, heard: Callable[[str], None] = unheard) -> None:
        self.base_url = _base(settings.repo_base_url or "")
        self._settings = settings
        self._wire = OriginClient(self.base_url, settings, heard)

    def path_of(self, url: str) -> str | None:
        """The path under the base that *url* names, decoded; None if it lies elsewhere."""
        return urls.path_under(self.base_url, url)

    def listing(self, most: int) -> list[str]:  # noqa: ARG002 - the protocol's
        """Nothing: a repository does not tell what it has."""
        return []

    def changed_since(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:
        """Whether the master at *path* is still the one with these validators."""
        return ask(self._wire, urls.join(self.base_url, path), Retries(self._settings), etag, last_modified)

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """The master at *path*, readable from its first byte on while the rest is still arriving.

        Returns as soon as the origin's answer is known to bring one; leaving the context ends the download.
        """
        url = urls.join(self.base_url, path)
        with fetched(self._wire, url, self._settings, url) as master:
            yield master


def _base(given: str) -> str:
    """REPO_BASE_URL as it will be sent, with its final slash."""
    if "@" in given.split("://", 1)[-1].split("/", 1)[0]:
        raise WrongSetting(
            "REPO_BASE_URL holds a user name: give it as REPO_USERNAME and REPO_PASSWORD with AUTH_TYPE=BASIC"
        )
    base = urls.normalised(given)
    if base is None or "?" in base or "#" in base:
        raise WrongSetting(f"REPO_BASE_URL is {given!r}: it may hold http(s)://host/path without query or fragment")
    return base.rstrip("/") + "/"
