"""Another bucket of the same server, to which copies are given away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.store.s3.bucket import MISSING
from mezcal.store.s3.client import S3Client, S3Refused

if TYPE_CHECKING:
    from mezcal.settings import Settings

UNVERSIONED = "null"  # S3's name for the version of an object in a bucket without versions


class OtherBucket:
    """The bucket *name*, with the address and the key of *settings*."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._client = S3Client(settings.model_copy(update={"aws_bucket": name}))

    def put(self, name: str, data: bytes, md5: str) -> str:
        """Put the JPEG *data* as *name*, unless it is there already. Returns the id of its version.

        Raises `StoreDown`.
        """
        try:
            found = self._client.call("head_object", MISSING, Key=name)
        except S3Refused:
            found = {}
        if found.get("Metadata", {}).get("md5") != md5:
            metadata = {"md5": md5}
            found = self._client.call("put_object", Key=name, Body=data, ContentType="image/jpeg", Metadata=metadata)
        return str(found.get("VersionId") or UNVERSIONED)
