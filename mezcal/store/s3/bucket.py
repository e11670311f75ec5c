"""What is asked of a bucket: one method for each kind of request; names are below the prefix."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from mezcal.store.s3.client import Call, Told, find
from mezcal.store.s3.signing import Request, quoted, signed_query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mezcal.store.s3.client import Wire
    from mezcal.store.s3.location import Place

PART = 32 << 20  # bytes sent at a time: what is larger goes in parts, so that a retry costs no more than one
PAGE = 1000  # the most that S3 lists at a time
CHANGED = {404, 409, 412}  # the condition of a write does not hold


class Changed(Exception):
    """The object is not, or no longer, what the condition of the request says."""


class Unconditional(Exception):
    """The server knows no conditional writes."""


@dataclass(frozen=True, slots=True)
class Object:
    """An object as a HEAD or a listing shows it; *headers* are those of the HEAD."""

    name: str
    size: int
    modified: float
    tag: str
    headers: Mapping[str, str]


class Bucket:
    """The objects under one prefix ("" or ending in a slash) of one bucket."""

    def __init__(self, wire: Wire, prefix: str, part: int = PART) -> None:
        self._wire = wire
        self._part = part
        self.prefix = prefix

    def head(self, name: str) -> Object | None:
        """The object *name*; None if there is none."""
        told = self._wire.ask(Call("HEAD", self.prefix + name))
        if told.status == 404:
            return None
        headers = _good(told).headers
        modified = parsedate_to_datetime(headers["last-modified"]).timestamp()
        return Object(name, int(headers.get("content-length", 0)), modified, headers["etag"], headers)

    def get(self, name: str, tag: str, span: tuple[int, int] | None, into: BinaryIO) -> None:
        """Write the bytes of *name*, if its tag is *tag*, to *into*; *span* is the first and last. Raises `Changed`."""
        headers = {"if-match": tag}
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[1]}"
        told = self._wire.ask(Call("GET", self.prefix + name, headers=headers, into=into))
        if told.status in {*CHANGED, 416}:
            raise Changed
        if told.status != (200 if span is None else 206):
            raise told.refused()

    def put(self, name: str, data: bytes, headers: Mapping[str, str] | None = None) -> str:
        """Write *data* as *name*; its tag. Raises `Changed` where a condition among *headers* does not hold."""
        payload = hashlib.sha256(data).hexdigest()
        return self._tag(self._wire.ask(Call("PUT", self.prefix + name, {}, dict(headers or {}), data, payload)))

    def put_file(
        self, name: str, path: Path, digest: str, headers: Mapping[str, str], condition: Mapping[str, str]
    ) -> str:
        """Write the file at *path*, with SHA-256 *digest*, as *name* under *condition*; its tag. Raises `Changed`.

        A large one goes in parts; until they are completed, which is what *condition* guards, nobody sees them.
        """
        size = path.stat().st_size
        if size > self._part:
            return self._put_parts(name, path, headers, condition)
        given = {**headers, **condition, "content-length": str(size)}
        return self._tag(self._wire.ask(Call("PUT", self.prefix + name, {}, given, lambda: path.open("rb"), digest)))

    def _put_parts(self, name: str, path: Path, headers: Mapping[str, str], condition: Mapping[str, str]) -> str:
        whole = self.prefix + name
        begun = _good(self._wire.ask(Call("POST", whole, {"uploads": ""}, headers)))
        upload = find(begun.body, "UploadId")
        try:
            parts = "".join(self._parts(whole, upload, path))
            body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
            payload = hashlib.sha256(body).hexdigest()
            done = self._wire.ask(Call("POST", whole, {"uploadId": upload}, condition, body, payload))
            self._tag(done)
            return find(done.body, "ETag")
        except BaseException:
            self._abort(whole, upload)
            raise

    def _parts(self, whole: str, upload: str, path: Path) -> Iterator[str]:
        with path.open("rb") as file:
            for count, data in enumerate(iter(partial(file.read, self._part), b""), 1):
                query = {"partNumber": str(count), "uploadId": upload}
                told = _good(self._wire.ask(Call("PUT", whole, query, {}, data, hashlib.sha256(data).hexdigest())))
                yield f"<Part><PartNumber>{count}</PartNumber><ETag>{escape(told.headers['etag'])}</ETag></Part>"

    def _abort(self, whole: str, upload: str) -> None:
        self._wire.ask(Call("DELETE", whole, {"uploadId": upload}))

    def note(self, found: Object, headers: Mapping[str, str], condition: Mapping[str, str]) -> None:
        """Give *found* other *headers*, if it is still the same object. Raises `Changed`.

        S3 changes metadata only by copying; *condition* guards what is copied to, where the server knows how.
        """
        source = {
            "x-amz-copy-source": quoted(f"/{self._wire.place.bucket}/{self.prefix}{found.name}"),
            "x-amz-copy-source-if-match": found.tag,
            "x-amz-metadata-directive": "REPLACE",
        }
        self._tag(self._wire.ask(Call("PUT", self.prefix + found.name, {}, {**headers, **source, **condition})))

    def delete(self, name: str, tag: str | None = None) -> None:
        """Remove *name*, if its tag is *tag* where that is given. Raises `Changed`.

        Fewer servers know conditions on this than on writing: those that say so are asked for the tag just before.
        """
        told = self._wire.ask(Call("DELETE", self.prefix + name, {}, {"if-match": tag} if tag else {}))
        if told.status in {409, 412}:
            raise Changed
        if tag and told.status == 501:
            found = self.head(name)
            if found is not None and found.tag != tag:
                raise Changed
            return self.delete(name)
        if told.status != 404:
            _good(told)
        return None

    def listed(self, below: str = "", after: str = "") -> Iterator[Object]:
        """The objects whose names begin with *below*, behind the name *after*, a page at a time."""
        query = {"list-type": "2", "prefix": self.prefix + below, "max-keys": str(PAGE), "encoding-type": "url"}
        if after:
            query["start-after"] = self.prefix + after
        while True:
            page = ET.fromstring(_good(self._wire.ask(Call("GET", "", query))).body)  # noqa: S314 - see wire.find
            encoded = _text(page, "EncodingType") == "url"  # else names that XML cannot hold would not arrive
            for shown in page.iterfind("{*}Contents"):
                yield self._object(shown, encoded)
            following = _text(page, "NextContinuationToken")
            if not following:
                return
            query = {**query, "continuation-token": following}
            query.pop("start-after", None)

    def _object(self, shown: ET.Element, encoded: bool) -> Object:
        name = unquote_plus(_text(shown, "Key")) if encoded else _text(shown, "Key")
        modified = _seconds(_text(shown, "LastModified"))
        return Object(name[len(self.prefix) :], int(_text(shown, "Size")), modified, _text(shown, "ETag"), {})

    def abort_before(self, moment: float, ending: str = "") -> int:
        """Give up the uploads in parts of names with this *ending* that were begun before *moment*; how many."""
        page = ET.fromstring(_good(self._wire.ask(Call("GET", "", {"uploads": "", "prefix": self.prefix}))).body)  # noqa: S314
        ours = [one for one in page.iterfind("{*}Upload") if _text(one, "Key").endswith(ending)]
        left = [one for one in ours if _seconds(_text(one, "Initiated")) < moment]
        for one in left:
            self._abort(_text(one, "Key"), _text(one, "UploadId"))
        return len(left)

    def link(self, name: str, method: str, since: float, seconds: int, at: Place | None = None) -> str:
        """A URL with which anybody may do *method* from *since* on for *seconds*."""
        place = at or self._wire.place
        path = place.path + self.prefix + name
        request = Request(method, place.host, path, {}, {})
        query = signed_query(request, self._wire.credentials.key(), place.region, since, seconds)
        return f"{place.base.partition('://')[0]}://{place.host}{quoted(path)}?{query}"

    def read(self, name: str) -> bytes | None:
        """The whole of a small object; None if there is none."""
        told = self._wire.ask(Call("GET", self.prefix + name))
        return None if told.status == 404 else _good(told).body

    def _tag(self, told: Told) -> str:
        if told.status == 501 or told.code == "NotImplemented":
            raise Unconditional
        if told.status in CHANGED and told.code != "NoSuchBucket":
            raise Changed
        if told.code:  # copying and completing may answer 200 first and fail then
            raise told.refused()
        return _good(told).headers.get("etag", "")


def _good(told: Told) -> Told:
    if told.status >= 300:
        raise told.refused()
    return told


def _text(element: ET.Element, name: str) -> str:
    return element.findtext("{*}" + name) or ""


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
