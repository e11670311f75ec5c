"""The locations of nginx.conf that serve hits by their path, one for each form of URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.recipe import MEDIA_TYPES, MEZZANINE, profiles_of
from mezcal.store.local.layout import FileNames, sidecar_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.recipe import Profile
    from mezcal.settings import Settings

OURS = r"\.mezcal"  # the first name of what the store keeps by key


@dataclass(frozen=True, slots=True)
class HitLocation:
    """The URLs that begin with *prefix* and end with *suffix*. In between is the path of the master."""

    prefix: str
    suffix: str
    profile: Profile

    def pattern(self, taken: Iterable[str]) -> str:
        r"""Returns the regular expression of the URLs whose derivative is under its own path.

        The store keeps others elsewhere: *taken* are the names of its own files. `\z` and not `$`, which would also
        match before a final line feed. `<prefix>x/..<suffix>` would name the master "x/..", which the API refuses.
        """
        suffix = re.escape(self.suffix)
        end = rf"(?:/|{suffix}\z)"
        names = "|".join(re.escape(name) for name in sorted(taken))
        no_name = rf"|(?:.*[/\x5c])?[. ]*{suffix}\z" if suffix else ""
        excluded = rf"{OURS}{end}{no_name}|(?:.*/)?(?:{names}|[^/]*\.lock){end}"
        return rf"^{re.escape(self.prefix)}(?!{excluded})(?<named>.+){suffix}\z"

    @property
    def sidecar(self) -> str | None:
        """The file without which the derivative does not count. None for mezzanines: umd-lib/mezcal wrote none."""
        return None if self.profile == MEZZANINE else sidecar_name(self.profile.file_name)

    @property
    def media_type(self) -> str:
        """The type of the derivatives."""
        return MEDIA_TYPES[self.profile.extension]


def hit_locations(settings: Settings) -> Iterator[HitLocation]:
    """Yield the locations of all derivatives of masters."""
    yield HitLocation("/images/", "", MEZZANINE)
    yield HitLocation("/mezzanine/", ".jpg", MEZZANINE)
    for name, profile in profiles_of(settings).items():
        yield HitLocation(f"/derivatives/{name}/", f".{profile.extension}", profile)


def taken_names(settings: Settings) -> frozenset[str]:
    """Returns the names that no folder of a master has: those of the store's own files."""
    return FileNames.of(profiles_of(settings).values()).taken
