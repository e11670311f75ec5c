"""Thumbnails before anybody asks: the named sizes of listed frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.archive import Archive, chosen, recipe_of
from mezcal.errors import Failure, FrameMissing
from mezcal.look import Look
from mezcal.manifests import Passed
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
class Frames:
    """Asks the archive with ARCHIVE_TOKEN, or as anybody where there is none.

    What *store* has not got can be made: its tickets are left with *jobs*, unless there are none.
    """

    settings: Settings
    store: Store
    jobs: Jobs | None

    def thumbnails(self, numbers: Iterable[int]) -> Iterator[Thumbnail | Passed]:
        """The recipe of every named size of each frame; a frame that cannot be had is passed over."""
        if self.settings.archive_api_url is None:
            raise WrongSetting("ARCHIVE_API_URL is not set: it names the archive whose frames these are")
        archive = Archive(self.settings)
        for number in numbers:
            for name, pixels in sizes(self.settings).items():
                try:
                    yield self._thumbnail(number, pixels, archive)
                except Failure as failure:
                    yield Passed(f"{number} {name}", f"{failure.slug}: {failure.detail}")

    def sizes_of(self, number: int) -> list[Thumbnail]:
        """The recipe of every named size of a frame. Raises what the archive refuses, or fails with."""
        if self.settings.archive_api_url is None:
            raise FrameMissing("ARCHIVE_API_URL is not set: it names the archive whose frames these are")
        archive = Archive(self.settings)
        return [self._thumbnail(number, pixels, archive) for pixels in sizes(self.settings).values()]

    def _thumbnail(self, number: int, pixels: int, archive: Archive) -> Thumbnail:
        settings, token = self.settings, self._token
        given = {"width": pixels, "height": pixels}
        look = Look.parse(given, default=settings.thumbnail_look, max_edge=settings.thumbnail_max_edge)
        inputs = chosen(archive.frame(number, token), look, archive, settings, token)
        recipe = recipe_of(inputs, look)
        if self.jobs is not None and self.store.find(recipe) is None:
            self.jobs.hand_over(recipe, {str(one.id): one.text("url") for one in inputs})
        return recipe

    @property
    def _token(self) -> str | None:
        return self.settings.archive_token.get_secret_value() if self.settings.archive_token else None
