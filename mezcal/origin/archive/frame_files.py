"""The files of frames, fetched by the signed URLs of a ticket, without any credential of ours or of the client."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from mezcal.errors import MasterDenied, MasterForbidden, OriginRedirectRefused, TicketExpired
from mezcal.http import has_user, ignore_outcome, normalise_url, server_of
from mezcal.origin.access import Addresses, WebAccess
from mezcal.origin.archive.shared_frames import FrameSharing
from mezcal.origin.client import OriginClient
from mezcal.origin.download import DownloadContext, MasterAddress, open_download
from mezcal.origin.growing_file import free_nothing
from mezcal.origin.parts import open_parts
from mezcal.origin.urls import is_listed
from mezcal.settings import AuthType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from mezcal.http import Observer
    from mezcal.origin.archive.frame_slot import FrameSlot
    from mezcal.origin.growing_file import FreeSpaceCallback
    from mezcal.origin.master import Master
    from mezcal.settings import Settings

    OpenFile = Callable[[OriginClient, MasterAddress, DownloadContext], AbstractContextManager[Master]]

READ_SECONDS = 60.0  # thumbnail-service's time-out between two reads of a file
# For the downloads of other processes, for all frames together. After that this one downloads them itself.
WAIT_SECONDS = 30.0


class FrameOrigin:
    """An origin whose paths are the ids of a ticket's frames. The ticket maps each id to the signed URL of its file.

    Whole files are shared with other processes by *sharing*.
    """

    def __init__(
        self,
        settings: Settings,
        ticket: Mapping[str, str],
        observer: Observer = ignore_outcome,
        free_space: FreeSpaceCallback = free_nothing,
        sharing: FrameSharing | None = None,
    ) -> None:
        self.base_url = (settings.archive_api_url or "").rstrip("/") + "/"
        self._settings = settings.model_copy(update={"auth_type": AuthType.NONE, "origin_read_timeout": READ_SECONDS})
        self._allowed_hosts = frozenset(host.lower() for host in settings.archive_file_hosts)
        self._ticket = ticket
        self._observer = observer
        self._sharing = sharing or FrameSharing()
        self._patience = WAIT_SECONDS
        self._context = DownloadContext.of(settings, self._sharing.frees_first(free_space))

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """Open the file of the frame whose id is *path*.

        Raises `TicketExpired` if its URL is not valid any more, `OriginRedirectRefused` if its host is not allowed.
        """
        with self._open(open_download, path) as master:
            yield master

    @contextmanager
    def open_parts(self, path: str) -> Iterator[Master]:
        """Do the same; only the parts of the file that are read are requested, if the server sends parts."""
        with self._open(open_parts, path) as master:
            yield master

    def holds(self, path: str) -> bool:
        """Return True if opening and reading the file of the frame *path* takes no request: it is there already."""
        return self._sharing.has(path)

    @contextmanager
    def _open(self, open_file: OpenFile, path: str) -> Iterator[Master]:
        url = self._checked_url(path)
        public_url = f"{self.base_url}frames/{path}/"  # the signed URL is as good as a key: it is stored nowhere
        slot = self._take(path, in_parts=open_file is open_parts)
        if slot is None:
            with self._download(open_file, path, url, public_url) as master:
                yield master
            return
        with closing(slot):
            if slot.is_whole:
                with closing((master := slot.master(public_url)).file):
                    yield master
                return
            with (
                self._download(open_file, path, url, public_url) as master,
                slot.keeping(master, by_choice=open_file is open_download, evicts=self._sharing.evicts),
            ):
                yield master

    def _take(self, path: str, *, in_parts: bool) -> FrameSlot | None:
        """Return the shared file of the frame *path*. The time that this waits counts for all frames."""
        began = time.monotonic()
        slot = self._sharing.take(path, began + self._patience, in_parts=in_parts)
        self._patience -= time.monotonic() - began
        return slot

    @contextmanager
    def _download(self, open_file: OpenFile, path: str, url: str, public_url: str) -> Iterator[Master]:
        access = WebAccess(Addresses(url, url), self._settings)
        client = OriginClient(access, self._settings, self._observer)
        try:
            with open_file(client, MasterAddress(url, public_url), self._context) as master:
                yield master
        except (MasterDenied, MasterForbidden) as refused:
            raise TicketExpired(f"the file of frame {path} was refused: {refused.detail}") from refused

    def _checked_url(self, frame_id: str) -> str:
        url = normalise_url(self._ticket.get(frame_id, ""))
        if url is None:
            raise TicketExpired(f"there is no URL any more for the file of frame {frame_id}")
        server = server_of(url)
        if has_user(url):
            raise OriginRedirectRefused(f"the archive names a URL with a user name, at {server.host}:{server.port}")
        if self._allowed_hosts and not is_listed(server, self._allowed_hosts):
            raise OriginRedirectRefused(
                f"the archive names {server.host}:{server.port}, which is not in ARCHIVE_FILE_HOSTS"
            )
        return url
