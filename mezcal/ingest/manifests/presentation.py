"""Lists the content of a IIIF Presentation document: images, other documents, and resources that are not images.

The declared version is not used, because real documents mix both. The properties are those of
https://iiif.io/api/presentation/2.1/ and https://iiif.io/api/presentation/3.0/. The services of images are those with
the types and profiles of https://iiif.io/api/image/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = {"Image", "dctypes:Image", "dcmitype:Image", "http://purl.org/dc/dcmitype/Image"}
CHOICES = {"Choice", "oa:Choice"}
SERVICE = re.compile(r"ImageService\d|iiif\.io/api/image|iiif/image-api|\blevel[012]\b")
MEMBERS = ("collections", "manifests", "members")  # Presentation 2; in 3 they are `items`


@dataclass(frozen=True, slots=True)
class ManifestImage:
    """An image on a canvas: its own URL, and those of its image services. It has one of the two."""

    body: str | None
    services: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.services[0] if self.services else str(self.body)


@dataclass(frozen=True, slots=True)
class LinkedDocument:
    """Another document that this one links to."""

    url: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was skipped, and the reason."""

    what: str
    why: str


Content = ManifestImage | LinkedDocument | Skipped


def contents(document: Any) -> Iterator[Content]:
    """Return all that *document* shows, in its order; `Skipped` if it is neither a manifest nor a collection."""
    members, canvases = _members(document), _canvases(document)
    if _kind(document) == "AnnotationPage":
        yield from _page(document)
    elif not members and not canvases and not _kind(document).endswith(("Manifest", "Collection")):
        yield Skipped(_url(document) or "the document", "it is not a IIIF manifest or collection")
    for member in members:
        yield from _member(member)
    for canvas in canvases:
        yield from _canvas(canvas)


def _members(document: Any) -> list[dict[str, Any]]:
    listed = [member for name in MEMBERS for member in _many(document, name)]
    return listed + [item for item in _many(document, "items") if _kind(item) in {"Manifest", "Collection"}]


def _canvases(document: Any) -> list[dict[str, Any]]:
    listed = [canvas for sequence in _many(document, "sequences") for canvas in _many(sequence, "canvases")]
    listed += _many(document, "canvases") if _kind(document) == "sc:Sequence" else []
    return listed + [item for item in _many(document, "items") if _kind(item) == "Canvas"]


def _member(member: dict[str, Any]) -> Iterator[Content]:
    """Read a member that is written out here; return a link to any other."""
    if any(member.get(name) for name in (*MEMBERS, "sequences", "items")):
        yield from contents(member)
    elif url := _url(member):
        yield LinkedDocument(url)


def _canvas(canvas: dict[str, Any]) -> Iterator[Content]:
    for annotation in _many(canvas, "images"):
        yield from _bodies(annotation.get("resource"))
    for page in _many(canvas, "items"):
        yield from _page(page)


def _page(page: dict[str, Any]) -> Iterator[Content]:
    """Read the annotations that paint the canvas; return a link to a page that is elsewhere."""
    if "items" not in page and (url := _url(page)):
        yield LinkedDocument(url)
    for annotation in _many(page, "items"):
        motivation = annotation.get("motivation", "painting")
        if "painting" in (motivation if isinstance(motivation, list) else [motivation]):
            yield from _bodies(annotation.get("body"))


def _bodies(body: Any) -> Iterator[Content]:
    """Return each image of *body*: one, several, or a choice. A part of an image counts as the image."""
    if isinstance(body, list):
        for item in body:
            yield from _bodies(item)
    elif isinstance(body, str):
        yield ManifestImage(body)
    elif isinstance(body, dict) and body and _url(body) != "rdf:nil":
        if _kind(body) in CHOICES:
            for name in ("default", "item", "items"):
                yield from _bodies(body.get(name))
        elif inner := body.get("source") or body.get("full"):
            yield from _bodies(inner)
        else:
            yield _image(body)


def _image(body: dict[str, Any]) -> Content:
    url, kind = _url(body), _kind(body)
    services = tuple(service for service in map(_service, _listed(body.get("service"))) if service)
    if kind not in IMAGES and kind and not str(body.get("format", "")).startswith("image/"):
        return Skipped(url or "a body without URL", f"it is not an image: {kind}")
    if url is None and not services:
        return Skipped("a body without URL", "neither the image nor a service is named")
    return ManifestImage(url, services)


def _service(service: Any) -> str | None:
    """Return the base URL of an image service, None for any other service."""
    if not isinstance(service, dict):
        return None
    words = " ".join(str(service.get(name, "")) for name in ("type", "@type", "profile", "@context"))
    return _url(service) if SERVICE.search(words) else None


def _url(thing: Any) -> str | None:
    url = (thing.get("id") or thing.get("@id")) if isinstance(thing, dict) else None
    return url if isinstance(url, str) else None


def _kind(thing: Any) -> str:
    kind = (thing.get("type") or thing.get("@type")) if isinstance(thing, dict) else None
    return kind if isinstance(kind, str) else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _many(thing: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects that *thing* has under *name*. A URL alone stands for an object with that `id`."""
    value = thing.get(name) if isinstance(thing, dict) else None
    objects = [{"id": item} if isinstance(item, str) else item for item in _listed(value)]
    return [item for item in objects if isinstance(item, dict)]
