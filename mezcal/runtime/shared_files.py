"""Files without a name that the processes of a worker share: they inherit the descriptors.

The files vanish with the last process, however it ends.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mezcal.runtime.memory_budget import nameless

if TYPE_CHECKING:
    from mezcal.settings import Settings

FILES = 64  # frames that are kept at once
INHERITED = "MEZCAL_SHARED_FILES"  # variable that hands the files to a program that shares them, see `handed_on`

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SharedFiles:
    """The descriptors of *files*, which hold at most *most_bytes* together, and of the *table* of what they hold."""

    most_bytes: int
    table: int
    files: tuple[int, ...]

    @classmethod
    def create(cls, settings: Settings) -> Self | None:
        """Return new files for frames, on the disk of the masters.

        Returns None if there is no archive, or FRAMES_KEPT_BYTES is 0, or the disk cannot be used.
        """
        if settings.archive_api_url is None or not settings.frames_kept_bytes:
            return None
        files: list[int] = []
        try:
            settings.scratch_dir.mkdir(parents=True, exist_ok=True)
            files.extend(_nameless(settings) for _ in range(FILES))
        except OSError as error:
            for file in files:
                os.close(file)
            log.warning("no frame is kept for further cutouts of it: the scratch folder is not usable (%s)", error)
            return None
        return cls(settings.frames_kept_bytes, nameless(), tuple(files))  # a full disk does not concern the table

    @classmethod
    def inherited(cls) -> Self | None:
        """Return the files that were handed to this program; None if there are none."""
        given = [int(number) for number in os.environ.get(INHERITED, "").split(",") if number]
        return cls(given[0], given[1], tuple(given[2:])) if given else None

    def handed_on(self) -> str:
        """Return the value of the variable `INHERITED` for a program that inherits the descriptors."""
        return ",".join(map(str, (self.most_bytes, *self.descriptors)))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors of the table and of the files."""
        return (self.table, *self.files)


def _nameless(settings: Settings) -> int:
    with tempfile.TemporaryFile(dir=settings.scratch_dir) as file:
        return os.dup(file.fileno())
