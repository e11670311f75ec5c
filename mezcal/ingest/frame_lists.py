"""Thumbnails before anybody asks: the named sizes of listed frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown, Failure, FrameMissing
from mezcal.ingest.manifests import Passed
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
    """THUMBNAIL_SIZES: the pixels of each name."""
    pairs = (pair.split(":") for pair in settings.thumbnail_sizes.split(","))
    return {name: int(pixels) for name, pixels in pairs}


@dataclass(frozen=True, slots=True)
class Warming:
    """Asks the archive with ARCHIVE_TOKEN, or as anybody where there is none.

    For what *store* has not got, the signed URLs that its makers need are left with *jobs*; without *jobs* nothing is.
    """

    settings: Settings
    jobs: Jobs | None
    store: Store

    def thumbnails(self, numbers: Iterable[int]) -> Iterator[Thumbnail | Passed]:
        """The thumbnails of every named size of each frame, stored or not; a frame that cannot be had is passed over.

        `BrokerDown` ends it.
        """
        archive = self._archive(WrongSetting)
        for number in numbers:
            for name, pixels in sizes(self.settings).items():
                try:
                    yield self._thumbnail(number, pixels, archive)[0]
                except BrokerDown:
                    raise
                except Failure as failure:
                    yield Passed(f"{number} {name}", f"{failure.slug}: {failure.detail}")

    def missing(self, number: int) -> tuple[list[Thumbnail], int]:
        """The thumbnails of a frame, in every named size, that are not stored; and how many there are altogether.

        Raises what the archive refuses.
        """
        archive, edges = self._archive(FrameMissing), sizes(self.settings).values()
        found = [self._thumbnail(number, pixels, archive) for pixels in edges]
        return [recipe for recipe, stored in found if not stored], len(found)

    def _thumbnail(self, number: int, pixels: int, archive: ArchiveClient) -> tuple[Thumbnail, bool]:
        """A frame's recipe, and whether it is stored."""
        settings, token = self.settings, self._token
        given = {"width": pixels, "height": pixels}
        options = ThumbnailOptions.parse(given, default=settings.thumbnail_look, max_edge=settings.thumbnail_max_edge)
        inputs = select_frames(archive.find_frame(number, token), options, archive, settings, token)
        recipe = make_recipe(inputs, options)
        stored = self.store.find(recipe) is not None
        if self.jobs is not None and not stored:
            self.jobs.save_ticket(recipe, {str(one.id): one.text("url") for one in inputs})
        return recipe, stored

    def _archive(self, otherwise: type[Exception]) -> ArchiveClient:
        if self.settings.archive_api_url is None:
            raise otherwise("ARCHIVE_API_URL is not set: it names the archive whose frames these are")
        return ArchiveClient(self.settings)

    @property
    def _token(self) -> str | None:
        return self.settings.archive_token.get_secret_value() if self.settings.archive_token else None
