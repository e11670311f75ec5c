"""IIIF Presentation 2 and 3 manifests and collections, read for the masters that they show.

`reading` says what is in a document, `fetching` gets it within bounds, `places` turns its URLs into paths.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.ingest.manifests.fetch import DocumentFetcher, DocumentUnreadable
from mezcal.ingest.manifests.presentation import ManifestImage, Member, Passed, contents
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.ingest.manifests.paths import ManifestPaths

__all__ = ["Manifests", "Passed"]

DOCUMENTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Manifests:
    """Reads manifests, and collections with their members, each once, and no more than *most* documents in all."""

    places: ManifestPaths
    fetcher: DocumentFetcher = field(default_factory=DocumentFetcher)
    most: int = DOCUMENTS_MAX

    def masters(self, url: str) -> Iterator[Mezzanine | Passed]:
        """The masters of the manifest or collection at *url*, and what is passed over, with the reason.

        A document that cannot be read is passed over too. An http(s) URL, or a local file.
        """
        seen, ahead = {url}, deque([url])
        read = 0
        while ahead:
            if read == self.most:
                yield Passed(
                    ahead[0], f"{self.most:,} documents are read; this one and {len(ahead) - 1:,} more are not"
                )
                return
            read += 1
            document_url = ahead.popleft()
            for found in self._document(document_url, url):
                if not isinstance(found, Member):
                    yield found
                elif found.url not in seen:
                    seen.add(found.url)
                    ahead.append(found.url)

    def _document(self, url: str, began_at: str) -> Iterator[Mezzanine | Passed | Member]:
        """What is in the document at *url*, a master that it shows several times once."""
        try:
            found = contents(self.fetcher.fetch(url, began_at))
            told: set[Mezzanine | Passed] = set()
            for part in found:
                one = self._placed(part) if isinstance(part, ManifestImage) else part
                if isinstance(one, Member):
                    yield one
                elif one not in told:
                    told.add(one)
                    yield one
        except DocumentUnreadable as unread:
            yield Passed(url, str(unread))
        except RecursionError:
            yield Passed(url, "it is nested too deeply")

    def _placed(self, picture: ManifestImage) -> Mezzanine | Passed:
        path = self.places.path_of(picture)
        if path is None:
            return Passed(picture.name, self.places.why_not)
        try:
            return Mezzanine.parse(path)
        except BadRecipe as bad:
            return Passed(picture.name, bad.detail)
