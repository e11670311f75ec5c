"""One master on its way, from the origin's answer to the end of its download."""

from __future__ import annotations

import io
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from mezcal.origin.download import Download
from mezcal.origin.growing_file import GrowingFile, MasterScratch, no_room
from mezcal.origin.master import Master
from mezcal.origin.responses import judge_content
from mezcal.origin.retries import Retries
from mezcal.store import open_store
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.origin.client import OriginClient, OriginResponse
    from mezcal.settings import Settings

BUFFER = 64 * 1024  # bytes: decoders read headers in small steps


@contextmanager
def fetched(wire: OriginClient, url: str, settings: Settings, source: str) -> Iterator[Master]:
    """The master at *url*, readable from its first byte on while the rest is still arriving.

    Returns as soon as the answer is known to bring one; leaving the context ends the download. *source* is the
    URL as it may be shown and kept.
    """
    tries = Retries(settings)
    answer = tries.persist(lambda: wire.get(url, tries))
    scratch = _begin(answer, settings, tries)
    size = scratch.size  # as announced: the download learns it in any case
    download = Download(wire, url, answer, scratch, tries, settings.origin_max_bytes)
    download.start()
    try:
        with closing(io.BufferedReader(GrowingFile(scratch, download.fetch_ahead), BUFFER)) as file:
            yield Master(
                file=file,
                source=source,
                etag=answer.headers.get("ETag"),
                last_modified=answer.headers.get("Last-Modified"),
                size=size,
                content_type=answer.headers.get("Content-Type"),
                arrival=scratch.wait_whole,
                landed=lambda: scratch.landed,
                arrived=lambda: scratch.front,
            )
    finally:
        download.cancel()


def _begin(answer: OriginResponse, settings: Settings, tries: Retries) -> MasterScratch:
    try:
        size = judge_content(answer.headers, settings.origin_max_bytes)
        return MasterScratch(settings.tmp_dir or settings.cache_dir / OURS / "scratch", size, tries, _room(settings))
    except Exception:
        answer.close()
        raise


def _room(settings: Settings) -> Callable[[int], bool]:
    """What makes room for a master: evicting, if masters arrive on the cache's own disk."""
    if settings.tmp_dir is not None and device(settings.tmp_dir) != device(settings.cache_dir):
        return no_room
    return open_store(settings).make_room


def device(folder: Path) -> int | None:
    """The file system on which *folder* is; None if it is not there."""
    try:
        return folder.stat().st_dev
    except OSError:
        return None
