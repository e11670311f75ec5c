"""Turns the URLs in a manifest into paths under REPO_BASE_URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.ingest.manifests.presentation import ManifestImage

# The end of an image's URL, after its identifier (IIIF Image API 3.0, 2.1): region, size, rotation, quality.format
REQUESTED = re.compile(r"/(?:full|square|(?:pct:)?[\d.,]+)/[\w^,!:.]+/!?[\d.]+/\w+\.\w+$")


@dataclass(frozen=True, slots=True)
class ManifestPaths:
    """Finds the path of a master by its own URL, with *origin_path_of*, or by the URL of an image service.

    An image service's URL begins with one of *prefixes*; its rest is the percent-encoded path, or URL, of the master.
    """

    origin_path_of: Callable[[str], str | None]
    prefixes: tuple[str, ...] = ()

    @property
    def mismatch(self) -> str:
        """The reason why an image has no path."""
        known = ", ".join(("REPO_BASE_URL", *self.prefixes))
        return f"its URL does not begin with {known}" + ("" if self.prefixes else ", and no --service-prefix is given")

    def find_path(self, image: ManifestImage) -> str | None:
        """Return the path of the master that *image* shows, None if it is not in the repository."""
        paths = [self._service_path(url) for url in image.services]
        if image.body is not None:
            paths += [self.origin_path_of(image.body), self._service_path(REQUESTED.sub("", image.body))]
        return next((path for path in paths if path), None)

    def _service_path(self, url: str) -> str | None:
        for prefix in self.prefixes:
            if url.startswith(prefix):
                rest = url.removeprefix(prefix).removesuffix("/info.json").strip("/")
                identifier = unquote(rest)
                is_url = identifier.startswith(("http://", "https://", "s3://"))
                return self.origin_path_of(identifier) if is_url else identifier
        return None
