"""Finds the masters that IIIF manifests and collections (Presentation API 2 and 3) show.

`fetch` reads a document within bounds, `presentation` lists its content, `paths` turns its URLs into paths.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.ingest.manifests.fetch import DocumentFetcher, DocumentUnreadable
from mezcal.ingest.manifests.presentation import LinkedDocument, ManifestImage, Skipped, contents
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.ingest.manifests.paths import ManifestPaths

__all__ = ["Manifests", "Skipped"]

DOCUMENTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Manifests:
    """Reads manifests, and collections with their members, each once and at most *most* documents."""

    paths: ManifestPaths
    fetcher: DocumentFetcher = field(default_factory=DocumentFetcher)
    most: int = DOCUMENTS_MAX

    def masters(self, url: str) -> Iterator[Mezzanine | Skipped]:
        """Return the masters of the manifest or collection at *url*, and skipped images with the reason.

        *url* begins with http(s), or is the name of a local file. A document that cannot be read is skipped.
        """
        seen, pending = {url}, deque([url])
        read = 0
        while pending:
            if read == self.most:
                yield Skipped(
                    pending[0], f"{self.most:,} documents are read; this one and {len(pending) - 1:,} more are not"
                )
                return
            read += 1
            document_url = pending.popleft()
            for content in self._read_document(document_url, url):
                if not isinstance(content, LinkedDocument):
                    yield content
                elif content.url not in seen:
                    seen.add(content.url)
                    pending.append(content.url)

    def _read_document(self, url: str, first_url: str) -> Iterator[Mezzanine | Skipped | LinkedDocument]:
        """Return the masters in the document at *url*. One that it shows several times is returned once."""
        try:
            seen: set[Mezzanine | Skipped] = set()
            for content in contents(self.fetcher.fetch(url, first_url)):
                result = self._find_master(content) if isinstance(content, ManifestImage) else content
                if isinstance(result, LinkedDocument):
                    yield result
                elif result not in seen:
                    seen.add(result)
                    yield result
        except DocumentUnreadable as unread:
            yield Skipped(url, str(unread))
        except RecursionError:
            yield Skipped(url, "it is nested too deeply")

    def _find_master(self, image: ManifestImage) -> Mezzanine | Skipped:
        path = self.paths.find_path(image)
        if path is None:
            return Skipped(image.name, self.paths.mismatch)
        try:
            return Mezzanine.parse(path)
        except BadRecipe as bad:
            return Skipped(image.name, bad.detail)
