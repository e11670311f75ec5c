"""The objects under one prefix of one bucket: a method for each kind of request. Names are below the prefix."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from mezcal.errors import StoreDown
from mezcal.store.s3.client import ATTEMPTS, NO_S3, UNREACHABLE, S3Client, S3Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PART_BYTES = 32 << 20  # a larger object is sent in parts, so that a retry sends no more than one of them again
BLOCK = 1 << 18
PAGE = 1000  # the most names that S3 lists in one response
MISSING = {404}
CONDITION_FAILED = {404, 409, 412}
NOT_IMPLEMENTED = {400, 501}
CONDITIONS = {"IfMatch", "IfNoneMatch", "CopySourceIfMatch"}

Fields = dict[str, Any]  # botocore's parameters: ContentType, CacheControl, Metadata; or a condition, IfMatch


class ObjectChanged(Exception):
    """The object does not meet the condition of the request (any more)."""


class NotSupported(Exception):
    """The server refuses conditions on writes, or does not know the request."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a HEAD or a listing shows it. *modified* is in seconds since 1970; a listing has no *metadata*."""

    name: str
    size: int
    modified: float
    etag: str
    metadata: Mapping[str, str]


class Bucket:
    """The objects whose keys begin with *prefix* ("" or ending in a slash)."""

    def __init__(self, client: S3Client, prefix: str, part_bytes: int = PART_BYTES) -> None:
        self._client = client
        self._part_bytes = part_bytes
        self.prefix = prefix

    def head(self, name: str) -> StoredObject | None:
        """Returns the object *name*, None if there is none."""
        try:
            found = self._client.call("head_object", MISSING, Key=self.prefix + name)
        except S3Refused:
            return None
        if not {"ETag", "LastModified", "ContentLength"} <= found.keys():
            raise StoreDown("what answers is no S3 server", NO_S3)
        modified = found["LastModified"].timestamp()
        return StoredObject(name, found["ContentLength"], modified, found["ETag"], found["Metadata"])

    def download(self, name: str, etag: str, span: tuple[int, int] | None, into: BinaryIO) -> None:
        """Write the bytes of *name* to *into*, all or from the first to the last of *span*.

        Raises `ObjectChanged` if the object is gone or its entity tag is no longer *etag*.
        """
        parameters: Fields = {"Key": self.prefix + name, "IfMatch": etag}
        if span is not None:
            parameters["Range"] = f"bytes={span[0]}-{span[1]}"
        try:
            self._receive(parameters, into)
        except S3Refused as refused:
            raise ObjectChanged from refused

    def _receive(self, parameters: Fields, into: BinaryIO) -> None:
        """Write a response's body to *into*. botocore retries requests, but not a body that breaks off."""
        for attempt in range(ATTEMPTS):
            body = self._client.call("get_object", {*CONDITION_FAILED, 416}, **parameters)["Body"]
            into.seek(0)
            into.truncate()
            try:
                with body:
                    for block in body.iter_chunks(BLOCK):
                        _write_whole(into, block)
                return
            except UNREACHABLE as error:
                if attempt == ATTEMPTS - 1:
                    raise self._client.failure(error) from error
            except OSError as error:
                raise StoreDown(f"the scratch folder cannot be written: {error.strerror}") from error

    def read(self, name: str) -> bytes | None:
        """Returns the bytes of a small object, None if there is none."""
        try:
            body: bytes = self._client.call("get_object", MISSING, Key=self.prefix + name)["Body"].read()
        except S3Refused:
            return None
        except UNREACHABLE as error:
            raise self._client.failure(error) from error
        return body

    def put(self, name: str, data: bytes | BinaryIO, fields: Fields | None = None) -> str:
        """Write *data* as *name*. Returns its entity tag.

        Raises `ObjectChanged` if a condition among *fields* does not hold, `NotSupported`.
        """
        return self._write("put_object", Key=self.prefix + name, Body=data, **(fields or {}))

    def put_file(self, name: str, path: Path, fields: Fields, condition: Fields) -> str:
        """Write the file at *path* as *name* if *condition* holds. Returns its entity tag. Raises as `put` does.

        A large file is sent in parts. They become visible when they are completed, which is what *condition* guards.
        """
        if path.stat().st_size > self._part_bytes:
            return self._put_parts(name, path, fields, condition)
        with path.open("rb") as file:
            return self.put(name, file, fields | condition)

    def _put_parts(self, name: str, path: Path, fields: Fields, condition: Fields) -> str:
        key = self.prefix + name
        upload = self._client.call("create_multipart_upload", Key=key, **fields)["UploadId"]
        try:
            parts = {"Parts": list(self._parts(key, upload, path))}
            return self._write(
                "complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=parts, **condition
            )
        except BaseException:
            with suppress(StoreDown):  # housekeeping aborts it later
                self._client.call("abort_multipart_upload", Key=key, UploadId=upload)
            raise

    def _parts(self, key: str, upload: str, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            for number, data in enumerate(iter(partial(file.read, self._part_bytes), b""), 1):
                part = self._client.call("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data)
                yield {"PartNumber": number, "ETag": part["ETag"]}

    def replace_metadata(self, found: StoredObject, fields: Fields, condition: Fields) -> None:
        """Give *found* other *fields*, if it is still the same object. Raises `ObjectChanged`.

        S3 changes metadata only by copying an object onto itself. *condition* guards the copy's target, and the tag
        of *found* its source.
        """
        key = self.prefix + found.name
        self._write(
            "copy_object",
            Key=key,
            CopySource={"Bucket": self._client.bucket, "Key": key},
            CopySourceIfMatch=found.etag,
            MetadataDirective="REPLACE",
            **fields,
            **condition,
        )

    def delete(self, name: str) -> None:
        """Remove *name*, whatever it is by now."""
        self._delete(name, {})

    def delete_if(self, name: str, etag: str) -> None:
        """Remove *name* if the server finds that its entity tag is *etag*. Many servers do not look.

        Raises `ObjectChanged`, `NotSupported`.
        """
        self._delete(name, {"IfMatch": etag})

    def _delete(self, name: str, condition: Fields) -> None:
        handled = CONDITION_FAILED | NOT_IMPLEMENTED if condition else MISSING
        try:
            self._client.call("delete_object", handled, Key=self.prefix + name, **condition)
        except S3Refused as refused:
            if _is_not_implemented(refused):
                raise NotSupported from refused
            if refused.status in {409, 412}:
                raise ObjectChanged from refused
            if refused.status != 404 or refused.code == "NoSuchBucket":
                raise refused.failure from refused

    def list(self, below: str = "", after: str = "") -> Iterator[StoredObject]:
        """Yields the objects whose names begin with *below* and come after the name *after*, in the order of names.

        A page of 1,000 is requested when it is needed.
        """
        query: Fields = {"Prefix": self.prefix + below, "MaxKeys": PAGE}
        if after:
            query["StartAfter"] = self.prefix + after
        while True:
            page = self._client.call("list_objects_v2", **query)
            for found in page.get("Contents", ()):
                name = found["Key"][len(self.prefix) :]
                yield StoredObject(name, found["Size"], found["LastModified"].timestamp(), found["ETag"], {})
            if not page.get("NextContinuationToken"):
                return
            query = {name: value for name, value in query.items() if name != "StartAfter"}
            query["ContinuationToken"] = page["NextContinuationToken"]

    def abort_uploads(self, before: float, is_ours: Callable[[str], bool]) -> int:
        """Abort the multipart uploads of the names that *is_ours* takes, begun before *before*. Returns how many.

        Raises `NotSupported` if the server does not list them.
        """
        try:
            page = self._client.call("list_multipart_uploads", NOT_IMPLEMENTED, Prefix=self.prefix)
        except S3Refused as refused:
            if _is_not_implemented(refused):
                raise NotSupported from refused
            raise refused.failure from refused
        uploads = [upload for upload in page.get("Uploads", ()) if is_ours(upload["Key"])]
        abandoned = [upload for upload in uploads if upload["Initiated"].timestamp() < before]
        for upload in abandoned:
            self._client.call("abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])
        return len(abandoned)

    def presigned_url(self, name: str, method: str, since: float, seconds: int) -> str:
        """Returns a URL that allows anyone to do *method* on *name* for *seconds* from *since* on."""
        return self._client.presigned_url(self.prefix + name, method, since, seconds)

    def _write(self, operation: str, **parameters: Any) -> str:
        """Returns the entity tag of what *operation* wrote. Raises as `put` does."""
        conditional = not CONDITIONS.isdisjoint(parameters)
        handled = CONDITION_FAILED | NOT_IMPLEMENTED if conditional else ()
        try:
            written = self._client.call(operation, handled, **parameters)
        except S3Refused as refused:
            if _is_not_implemented(refused):
                raise NotSupported from refused
            if refused.status in CONDITION_FAILED and refused.code != "NoSuchBucket":
                raise ObjectChanged from refused
            raise refused.failure from refused
        etag = written.get("ETag") or written.get("CopyObjectResult", {}).get("ETag")
        if not etag:
            raise StoreDown("what answers is no S3 server", NO_S3)
        return str(etag)


def _is_not_implemented(refused: S3Refused) -> bool:
    return refused.status == 501 or refused.code == "NotImplemented"


def _write_whole(into: BinaryIO, block: bytes) -> None:
    """Write *block* to an unbuffered file, which writes less than that where a disk gets full."""
    if into.write(block) != len(block):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
