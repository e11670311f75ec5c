"""The thumbnails of listed frames, in every named size."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown, Failure, FrameMissing
from mezcal.ingest.manifests import Skipped
from mezcal.origin.archive import ArchiveClient, make_recipe, select_frames
from mezcal.recipe import ThumbnailOptions
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.jobs import Jobs
    from mezcal.origin.archive import FrameRecord
    from mezcal.recipe import Thumbnail
    from mezcal.settings import Settings
    from mezcal.store import Store

NO_ARCHIVE = "ARCHIVE_API_URL is not set: it names the archive whose frames these are"


def named_options(settings: Settings) -> dict[str, ThumbnailOptions]:
    """Return the options of each name in THUMBNAIL_SIZES."""
    pairs = (pair.split(":") for pair in settings.thumbnail_sizes.split(","))
    look, most = settings.thumbnail_look, settings.thumbnail_max_edge
    return {
        name: ThumbnailOptions.parse({"width": pixels, "height": pixels}, default=look, max_edge=most)
        for name, pixels in pairs
    }


class FrameNotShown(Exception):
    """The archive does not show an announced frame yet, or only an older version of its file."""


class FrameThumbnails:
    """Asks the archive about frames, with ARCHIVE_TOKEN if it is set: once for each frame.

    With *jobs*, the signed URLs that a worker needs are saved for each thumbnail that is not in *store*, and those that
    are will be registered with the archive, if ARCHIVE_BUCKET is set.
    """

    def __init__(self, settings: Settings, jobs: Jobs | None, store: Store) -> None:
        self._settings, self._jobs, self._store = settings, jobs, store

    def thumbnails(self, numbers: Iterable[int]) -> Iterator[Thumbnail | Skipped]:
        """Return the thumbnails of each frame in every named size, stored or not. A frame that fails is skipped.

        Raises `BrokerDown`.
        """
        if self._settings.archive_api_url is None:
            raise WrongSetting(NO_ARCHIVE)
        for number in numbers:
            try:
                for recipe, _ in self._of_frame(self._find(number)):
                    yield recipe
            except BrokerDown:
                raise
            except Failure as failure:
                for name in named_options(self._settings):
                    yield Skipped(f"{number} {name}", f"{failure.slug}: {failure.detail}")

    def missing(self, number: int, announced: str | None = None) -> tuple[list[Thumbnail], int]:
        """Return the thumbnails of a frame that are not stored, and the number of named sizes.

        Raises the archive's failure. If *announced* is not None, the frame was announced with this MD5 of its file, ""
        for an unknown one: raises `FrameNotShown` if the archive does not show it yet.
        """
        try:
            frame = self._find(number)
        except FrameMissing as failure:
            if announced is None or self._settings.archive_api_url is None:
                raise
            raise FrameNotShown(failure.detail) from failure
        if announced is not None and not frame.shows(announced):
            raise FrameNotShown("its file is not shown yet")
        found = self._of_frame(frame)
        return [recipe for recipe, stored in found if not stored], len(found)

    def _find(self, number: int) -> FrameRecord:
        if self._settings.archive_api_url is None:
            raise FrameMissing(NO_ARCHIVE)
        return self._archive.find_frame(number, self._token)

    def _of_frame(self, frame: FrameRecord) -> list[tuple[Thumbnail, bool]]:
        """Return the recipes of *frame*, each with whether its derivative is stored."""
        found = []
        for options in named_options(self._settings).values():
            inputs = select_frames(frame, options, self._archive, self._settings, self._token)
            recipe = make_recipe(inputs, options)
            stored = self._store.find(recipe) is not None
            if self._jobs is not None and not stored:
                self._jobs.save_ticket(recipe, {str(frame.id): frame.text("url") for frame in inputs})
            elif self._jobs is not None and self._settings.archive_bucket is not None:
                self._jobs.registrations.add([recipe])
            found.append((recipe, stored))
        return found

    @cached_property
    def _archive(self) -> ArchiveClient:
        return ArchiveClient(self._settings)

    @property
    def _token(self) -> str | None:
        return self._settings.archive_token.get_secret_value() if self._settings.archive_token else None
