"""The files of frames, fetched by signed URLs: no credential of ours or of the asker goes with them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mezcal.errors import MasterDenied, MasterForbidden, OriginAstray, TicketExpired
from mezcal.origin import MasterStatus, OriginClient, fetched, unheard, urls
from mezcal.settings import AuthType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mezcal.origin import Master
    from mezcal.settings import Settings

READ_SECONDS = 60.0  # thumbnail-service's patience between two pieces of a file


class FrameOrigin:
    """An origin whose paths are the ids of a ticket's frames."""

    def __init__(self, settings: Settings, ticket: Mapping[str, str], heard: Callable[[str], None] = unheard) -> None:
        self._heard = heard
        self.base_url = (settings.archive_api_url or "").rstrip("/") + "/"
        self._settings = settings.model_copy(update={"auth_type": AuthType.NONE, "origin_read_timeout": READ_SECONDS})
        self._allowed = {host.lower() for host in settings.archive_file_hosts}
        self._ticket = ticket

    def path_of(self, url: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Nothing: frames are asked for by their ids."""
        return None

    def listing(self, most: int) -> list[str]:  # noqa: ARG002 - the protocol's
        """Nothing."""
        return []

    def changed_since(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:  # noqa: ARG002
        """Never: another version of a frame has another recipe."""
        return MasterStatus.UNCHANGED

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """The file of the frame whose id is *path*; `TicketExpired` where its URL is not good any more."""
        url = urls.normalised(self._ticket.get(path, ""))
        if url is None:
            raise TicketExpired(f"there is no URL any more by which frame {path} could be fetched")
        server = urls.server(url)
        if self._allowed and not {server.host, f"{server.host}:{server.port}"} & self._allowed:
            raise OriginAstray(f"the archive names {server.host}:{server.port}, which is not in ARCHIVE_FILE_HOSTS")
        shown = f"{self.base_url}frames/{path}/"  # the URL itself is as good as a key: it is kept nowhere
        try:
            with fetched(OriginClient(url, self._settings, self._heard), url, self._settings, shown) as master:
                yield master
        except (MasterDenied, MasterForbidden) as refused:
            raise TicketExpired(f"the file of frame {path} was refused: its URL has expired") from refused
