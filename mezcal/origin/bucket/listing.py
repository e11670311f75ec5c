"""Lists the objects of a bucket whose names end like those of images, page by page (S3 API, ListObjectsV2)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree.ElementTree import ParseError, XMLPullParser

from mezcal.errors import BadRecipe, Failure, OriginFailed
from mezcal.http import HttpRequest
from mezcal.origin.client import read_chunks
from mezcal.origin.folder import Unreadable, has_image_suffix
from mezcal.origin.retries import TransientFailure
from mezcal.recipe.path import plain_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from xml.etree.ElementTree import Element

    from mezcal.http import HttpResponse
    from mezcal.origin.bucket.access import BucketAccess
    from mezcal.origin.client import OriginClient
    from mezcal.origin.retries import RetryBudget

PAGE_MAX = 1000  # the most keys that S3 lists in one response
READ = ("Contents", "CommonPrefixes", "EncodingType", "NextContinuationToken")  # elements of a list
PAGE_BYTES_MAX = 16 * 2**20  # a thousand keys of 1,024 bytes, escaped, with all that is said of each


@dataclass(frozen=True, slots=True)
class ListedPage:
    """Some of the *keys* under a prefix, and with a delimiter the *folders* there. *token* asks for the next page."""

    keys: list[str]
    folders: list[str]
    token: str = ""


class BucketListing:
    """The masters of the bucket of *access*, by their paths below the prefix. One page of names is in memory."""

    def __init__(self, access: BucketAccess, client: OriginClient, new_budget: Callable[[], RetryBudget]) -> None:
        self._access, self._client, self._new_budget = access, client, new_budget

    def has_folder(self, _path: str) -> bool:
        """Return False: a bucket has no folders, only keys with a slash. Their names are written with it."""
        return False

    def has_file(self, _path: str) -> bool:
        """Return False: no request is sent to know whether a pattern is the name of an object."""
        return False

    def walk(self, path: str, depth: int | None = None) -> Iterator[str | Unreadable]:
        """Yield the paths of all images below *path*, at most *depth* folders deeper.

        They come in the order of their keys if *depth* is None, else those of a page before the folders of that page.
        """
        token = ""
        while True:
            try:
                page = self.page(f"{path}/" if path else "", token, flat=depth is None)
            except Failure as failure:
                yield Unreadable(path, f"the bucket cannot be listed: {failure.detail}")
                return
            yield from filter(_is_master, page.keys)
            for folder in page.folders if depth else ():
                if _is_shown(folder.rstrip("/")):
                    yield from self.walk(folder.rstrip("/"), (depth or 0) - 1)
            token = page.token
            if not token:
                return

    def first_paths(self, most: int) -> list[str]:
        """Return up to *most* masters of the first page. Raises the failures of an origin."""
        return list(filter(_is_master, self.page("").keys))[:most]

    def page(self, prefix: str, token: str = "", *, flat: bool = True, most: int = PAGE_MAX) -> ListedPage:
        """Return a page of the keys that begin with *prefix*, all as paths. Raises the failures of an origin.

        Keys below a folder of *prefix* are left out unless *flat*. *token* is that of the page before.
        """
        query = {
            "list-type": "2",
            "encoding-type": "url",
            "max-keys": str(most),
            "prefix": self._access.prefix + prefix,
        }
        query |= {} if flat else {"delimiter": "/"}
        query |= {"continuation-token": token} if token else {}
        url = f"{self._access.root}?{urlencode(sorted(query.items()), quote_via=quote, safe='~')}"
        budget = self._new_budget()
        return budget.run(lambda: self._request(url, budget))

    def _request(self, url: str, budget: RetryBudget) -> ListedPage:
        with closing(self._client.send(HttpRequest(url), budget)) as response:
            try:
                return _parsed(response, budget, self._access.prefix)
            except ParseError as error:
                raise TransientFailure(OriginFailed(f"the bucket's list cannot be read: {error}")) from error


def _parsed(response: HttpResponse, budget: RetryBudget, prefix: str) -> ListedPage:
    """Return the page in *response*, with paths below *prefix*."""
    texts: dict[str, list[str]] = {name: [] for name in READ}
    for element in _elements(response, budget):
        name = _local_name(element)
        if name in texts:
            texts[name].append(_text(element))
            element.clear()
    unescape = unquote_plus if texts["EncodingType"] == ["url"] else str  # S3 escapes a space as `+`, as in a form
    keys, folders = ([unescape(text).removeprefix(prefix) for text in texts[name]] for name in READ[:2])
    return ListedPage(keys, folders, "".join(texts["NextContinuationToken"]))


def _elements(response: HttpResponse, budget: RetryBudget) -> Iterator[Element]:
    """Yield each element of the XML in *response* when its end has arrived. Raises `OriginFailed`, `ParseError`."""
    parser: XMLPullParser[Any] = XMLPullParser(("end",))
    size = 0
    for chunk in read_chunks(response, budget):
        size += len(chunk)
        if size > PAGE_BYTES_MAX:
            raise OriginFailed(f"the bucket's list has more than {PAGE_BYTES_MAX:,} bytes for {PAGE_MAX:,} names")
        parser.feed(chunk)
        for event in parser.read_events():
            yield cast("tuple[str, Element]", event)[1]
    parser.close()


def _text(element: Element) -> str:
    """Return the text of *element*, or of the name in it."""
    names = (part for part in element if _local_name(part) in {"Key", "Prefix"})
    return next(names, element).text or ""


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _is_master(path: str) -> bool:
    """Return True if *path* ends like the name of an image, is not hidden, and clients can ask for it."""
    if not has_image_suffix(path.rpartition("/")[2]) or not _is_shown(path):
        return False
    try:
        plain_path(path)
    except BadRecipe:
        return False
    return True


def _is_shown(path: str) -> bool:
    """Return True if no part of *path* is hidden."""
    return not path.startswith(".") and "/." not in path
