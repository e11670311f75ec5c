"""Thumbnails before anybody asks: the named sizes of listed frames, made in bulk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.archive import Archive, chosen, recipe_of
from mezcal.errors import BrokerDown, Failure, FrameMissing
from mezcal.jobs import Lane
from mezcal.look import Look
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
    """Asks the archive with ARCHIVE_TOKEN, or as anybody where there is none."""

    settings: Settings
    jobs: Jobs
    store: Store

    def frames(self, numbers: Iterable[int]) -> Iterator[str]:
        """Ask for every named size of each frame, and say of each what came of it.

        A frame that cannot be had is told and passed over; `BrokerDown` and `Busy` end it.
        """
        if self.settings.archive_api_url is None:
            raise WrongSetting("ARCHIVE_API_URL is not set: it names the archive whose frames these are")
        archive = Archive(self.settings)
        for number in numbers:
            for name, pixels in sizes(self.settings).items():
                yield f"{number} {name} {self._frame(number, pixels, archive)}"

    def missing(self, number: int) -> tuple[list[Thumbnail], int]:
        """The thumbnails of a frame, in every named size, that are not stored; and how many there are altogether.

        What their makers need is left for them. Raises what the archive refuses.
        """
        if self.settings.archive_api_url is None:
            raise FrameMissing("ARCHIVE_API_URL is not set: it names the archive whose frames these are")
        archive, all_sizes = Archive(self.settings), sizes(self.settings).values()
        found = [self._unless_cached(number, pixels, archive) for pixels in all_sizes]
        return [recipe for recipe in found if recipe is not None], len(found)

    def _unless_cached(self, number: int, pixels: int, archive: Archive) -> Thumbnail | None:
        settings, token = self.settings, self._token
        given = {"width": pixels, "height": pixels}
        look = Look.parse(given, default=settings.thumbnail_look, max_edge=settings.thumbnail_max_edge)
        inputs = chosen(archive.frame(number, token), look, archive, settings, token)
        recipe = recipe_of(inputs, look)
        if self.store.find(recipe) is not None:
            return None
        self.jobs.hand_over(recipe, {str(one.id): one.text("url") for one in inputs})
        return recipe

    def _frame(self, number: int, pixels: int, archive: Archive) -> str:
        try:
            recipe = self._unless_cached(number, pixels, archive)
        except BrokerDown:
            raise
        except Failure as failure:
            return f"{failure.slug}: {failure.detail}"
        if recipe is None:
            return "cached"
        try:
            self.jobs.ask(recipe, Lane.BULK)
        except Failure as failure:
            if failure.job is None:  # not what this one is remembered to have ended in: the queue is full or gone
                raise
            return f"{failure.slug}: {failure.detail}"
        return "queued"

    @property
    def _token(self) -> str | None:
        return self.settings.archive_token.get_secret_value() if self.settings.archive_token else None
