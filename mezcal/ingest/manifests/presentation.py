"""What a IIIF Presentation document shows: images, other documents, and what is no image.

Read by what is there and not by what version is declared: real documents mix both. The properties are those of
https://iiif.io/api/presentation/2.1/ and https://iiif.io/api/presentation/3.0/; an image's services are told from
others by the types and profiles of https://iiif.io/api/image/.
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
    """An image on a canvas: its own URL and its services'; one of the two is there."""

    body: str | None
    services: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What to call it when it is told of."""
        return self.services[0] if self.services else str(self.body)


@dataclass(frozen=True, slots=True)
class Member:
    """Another document that belongs to this one."""

    url: str


@dataclass(frozen=True, slots=True)
class Passed:
    """Something that was passed over, and why."""

    what: str
    why: str


Part = ManifestImage | Member | Passed


def contents(document: Any) -> Iterator[Part]:
    """All that *document* shows, in its order; `Passed` where it is neither manifest nor collection."""
    members, canvases = _members(document), _canvases(document)
    if _kind(document) == "AnnotationPage":
        yield from _page(document)
    elif not members and not canvases and not _kind(document).endswith(("Manifest", "Collection")):
        yield Passed(_url(document) or "the document", "it is no IIIF manifest or collection")
    for member in members:
        yield from _member(member)
    for canvas in canvases:
        yield from _canvas(canvas)


def _members(document: Any) -> list[dict[str, Any]]:
    listed = [one for name in MEMBERS for one in _many(document, name)]
    return listed + [one for one in _many(document, "items") if _kind(one) in {"Manifest", "Collection"}]


def _canvases(document: Any) -> list[dict[str, Any]]:
    listed = [canvas for sequence in _many(document, "sequences") for canvas in _many(sequence, "canvases")]
    listed += _many(document, "canvases") if _kind(document) == "sc:Sequence" else []
    return listed + [one for one in _many(document, "items") if _kind(one) == "Canvas"]


def _member(member: dict[str, Any]) -> Iterator[Part]:
    """A member that is written out is read where it is, any other is another document."""
    if any(member.get(name) for name in (*MEMBERS, "sequences", "items")):
        yield from contents(member)
    elif url := _url(member):
        yield Member(url)


def _canvas(canvas: dict[str, Any]) -> Iterator[Part]:
    for annotation in _many(canvas, "images"):
        yield from _bodies(annotation.get("resource"))
    for page in _many(canvas, "items"):
        yield from _page(page)


def _page(page: dict[str, Any]) -> Iterator[Part]:
    """The annotations that paint the canvas; a page that is only named is another document."""
    if "items" not in page and (url := _url(page)):
        yield Member(url)
    for annotation in _many(page, "items"):
        motivation = annotation.get("motivation", "painting")
        if "painting" in (motivation if isinstance(motivation, list) else [motivation]):
            yield from _bodies(annotation.get("body"))


def _bodies(body: Any) -> Iterator[Part]:
    """Each image that *body* offers: one, several, or a choice; a part of an image counts as the image."""
    if isinstance(body, list):
        for one in body:
            yield from _bodies(one)
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


def _image(body: dict[str, Any]) -> Part:
    url, kind = _url(body), _kind(body)
    services = tuple(service for service in map(_service, _listed(body.get("service"))) if service)
    if kind not in IMAGES and kind and not str(body.get("format", "")).startswith("image/"):
        return Passed(url or "a body without URL", f"it is no image: {kind}")
    if url is None and not services:
        return Passed("a body without URL", "neither the image nor a service is named")
    return ManifestImage(url, services)


def _service(service: Any) -> str | None:
    """The base URL of an image service, None for any other kind of service."""
    if not isinstance(service, dict):
        return None
    says = " ".join(str(service.get(name, "")) for name in ("type", "@type", "profile", "@context"))
    return _url(service) if SERVICE.search(says) else None


def _url(thing: Any) -> str | None:
    url = (thing.get("id") or thing.get("@id")) if isinstance(thing, dict) else None
    return url if isinstance(url, str) else None


def _kind(thing: Any) -> str:
    kind = (thing.get("type") or thing.get("@type")) if isinstance(thing, dict) else None
    return kind if isinstance(kind, str) else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _many(thing: Any, name: str) -> list[dict[str, Any]]:
    """The objects that *thing* has under *name*; a URL alone stands for an object of that `id`."""
    value = thing.get(name) if isinstance(thing, dict) else None
    named = [{"id": one} if isinstance(one, str) else one for one in _listed(value)]
    return [one for one in named if isinstance(one, dict)]
