"""Thumbnails before anybody asks: the named sizes of listed frames, made in bulk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.archive import Archive, chosen, recipe_of
from mezcal.errors import Failure
from mezcal.jobs import Lane
from mezcal.look import Look
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.jobs import Jobs
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

    def _frame(self, number: int, pixels: int, archive: Archive) -> str:
        settings, token = self.settings, self._token
        given = {"width": pixels, "height": pixels}
        look = Look.parse(given, default=settings.thumbnail_look, max_edge=settings.thumbnail_max_edge)
        try:
            inputs = chosen(archive.frame(number, token), look, archive, settings, token)
        except Failure as failure:
            return f"{failure.slug}: {failure.detail}"
        recipe = recipe_of(inputs, look)
        if self.store.find(recipe) is not None:
            return "cached"
        self.jobs.hand_over(recipe, {str(one.id): one.text("url") for one in inputs})
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
