"""From the URLs of a manifest to paths under REPO_BASE_URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.ingest.manifests.presentation import ManifestImage

# The rest of an image's URL behind its identifier (IIIF Image API 3.0, 2.1): region, size, rotation, quality.format
REQUESTED = re.compile(r"/(?:full|square|(?:pct:)?[\d.,]+)/[\w^,!:.]+/!?[\d.]+/\w+\.\w+$")


@dataclass(frozen=True, slots=True)
class ManifestPaths:
    """Knows masters by their own URL, by *origin_path_of*, and by image services whose URLs begin with one of
    *prefixes*, the rest being the percent-encoded path, or URL, of the master.
    """

    origin_path_of: Callable[[str], str | None]
    prefixes: tuple[str, ...] = ()

    @property
    def why_not(self) -> str:
        """Why a picture has no path."""
        known = ", ".join(("REPO_BASE_URL", *self.prefixes))
        return f"its URL does not begin with {known}" + ("" if self.prefixes else ", and no --service-prefix is given")

    def path_of(self, picture: ManifestImage) -> str | None:
        """The path of the master that *picture* shows, None if it lies elsewhere."""
        named = [self._served(url) for url in picture.services]
        if picture.body is not None:
            named += [self.origin_path_of(picture.body), self._served(REQUESTED.sub("", picture.body))]
        return next((path for path in named if path), None)

    def _served(self, url: str) -> str | None:
        for prefix in self.prefixes:
            if url.startswith(prefix):
                rest = url.removeprefix(prefix).removesuffix("/info.json").strip("/")
                identifier = unquote(rest)
                whole = identifier.startswith(("http://", "https://"))
                return self.origin_path_of(identifier) if whole else identifier
        return None
