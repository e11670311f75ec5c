"""The thumbnails of listed frames, in every named size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown, Failure, FrameMissing
from mezcal.ingest.manifests import Skipped
from mezcal.origin.archive import ArchiveClient, make_recipe, select_frames
from mezcal.recipe import ThumbnailOptions
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.jobs import Jobs
    from mezcal.recipe import Thumbnail
    from mezcal.settings import Settings
    from mezcal.store import Store


def sizes(settings: Settings) -> dict[str, int]:
    """Return the pixels of each name in THUMBNAIL_SIZES."""
    pairs = (pair.split(":") for pair in settings.thumbnail_sizes.split(","))
    return {name: int(pixels) for name, pixels in pairs}


@dataclass(frozen=True, slots=True)
class FrameThumbnails:
    """Asks the archive about frames, with ARCHIVE_TOKEN if it is set.

    For each thumbnail that is not in *store*, the signed URLs that a worker needs are saved in *jobs*, if given.
    """

    settings: Settings
    jobs: Jobs | None
    store: Store

    def thumbnails(self, numbers: Iterable[int]) -> Iterator[Thumbnail | Skipped]:
        """Return the thumbnails of each frame in every named size, stored or not. A frame that fails is skipped.

        Raises `BrokerDown`.
        """
        archive = self._archive(WrongSetting)
        for number in numbers:
            for name, pixels in sizes(self.settings).items():
                try:
                    yield self._thumbnail(number, pixels, archive)[0]
                except BrokerDown:
                    raise
                except Failure as failure:
                    yield Skipped(f"{number} {name}", f"{failure.slug}: {failure.detail}")

    def missing(self, number: int) -> tuple[list[Thumbnail], int]:
        """Return the thumbnails of a frame that are not stored, and the number of named sizes.

        Raises the archive's failure.
        """
        archive, edges = self._archive(FrameMissing), sizes(self.settings).values()
        found = [self._thumbnail(number, pixels, archive) for pixels in edges]
        return [recipe for recipe, stored in found if not stored], len(found)

    def _thumbnail(self, number: int, pixels: int, archive: ArchiveClient) -> tuple[Thumbnail, bool]:
        """Return the recipe of a frame, and whether its derivative is stored."""
        settings, token = self.settings, self._token
        given = {"width": pixels, "height": pixels}
        options = ThumbnailOptions.parse(given, default=settings.thumbnail_look, max_edge=settings.thumbnail_max_edge)
        inputs = select_frames(archive.find_frame(number, token), options, archive, settings, token)
        recipe = make_recipe(inputs, options)
        stored = self.store.find(recipe) is not None
        if self.jobs is not None and not stored:
            self.jobs.save_ticket(recipe, {str(frame.id): frame.text("url") for frame in inputs})
        return recipe, stored

    def _archive(self, otherwise: type[Exception]) -> ArchiveClient:
        if self.settings.archive_api_url is None:
            raise otherwise("ARCHIVE_API_URL is not set: it names the archive whose frames these are")
        return ArchiveClient(self.settings)

    @property
    def _token(self) -> str | None:
        return self.settings.archive_token.get_secret_value() if self.settings.archive_token else None
