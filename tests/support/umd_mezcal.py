"""What umd-lib/mezcal does with its cache, as far as mezcal has to get along with it; see the moving page.

Both lines keep the image of a path as `image.jpg` in a folder that the layout names. The folder line deletes the image
and then its folder, and fails if something else is in there. The S3 line deletes the object.
"""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from tests.support.s3_server import KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.s3_server import S3Server

UMD_JPEG = b"\xff\xd8 made by umd-lib/mezcal \xff\xd9"


def umd_name(path: str, layout: str) -> str:
    """Returns the name of the image of *path*, below the root or the prefix."""
    digest = md5(path.encode(), usedforsecurity=False).hexdigest()
    levels = f"{digest[:2]}/{digest[2:4]}/{digest[4:6]}"
    folder = {"basic": path, "md5_encoded": digest, "md5_encoded_pairtree": f"{levels}/{digest}"}[layout]
    return f"{folder}/image.jpg"


class UmdFolder:
    """The folder line: a cache in *root* with *layout*."""

    def __init__(self, root: Path, layout: str) -> None:
        self._root = root
        self._layout = layout

    def place(self, path: str) -> Path:
        """Returns where the image of *path* is, or would be."""
        return self._root / umd_name(path, self._layout)

    def get(self, path: str) -> bytes:
        """Returns the image of *path*, which is made if there is none."""
        place = self.place(path)
        lock = place.parent.with_name(f"{place.parent.name}.lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(UMD_JPEG)
        return place.read_bytes()

    def delete(self, path: str) -> int:
        """Delete the image of *path*. Returns the status of the answer."""
        place = self.place(path)
        place.unlink(missing_ok=True)
        try:
            place.parent.rmdir()
        except FileNotFoundError:
            return 204
        except OSError:
            return 500
        return 204


class UmdBucket:
    """The S3 line: a cache in *bucket* below *prefix* with *layout*. It writes no metadata of mezcal's."""

    def __init__(self, server: S3Server, bucket: str, prefix: str, layout: str) -> None:
        given = {"aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"]}
        path_style = Config(s3={"addressing_style": "path"})
        self._client = Session().create_client("s3", "us-east-1", endpoint_url=server.url, config=path_style, **given)
        self._bucket = bucket
        self._prefix = prefix
        self._layout = layout

    def object(self, path: str) -> dict[str, str]:
        """Returns the bucket and the key of the image of *path*."""
        return {"Bucket": self._bucket, "Key": f"{self._prefix}/{umd_name(path, self._layout)}".lstrip("/")}

    def get(self, path: str) -> bytes:
        """Returns the image of *path*, which is made if there is none."""
        try:
            self._client.head_object(**self.object(path))
        except ClientError:
            self._client.put_object(**self.object(path), Body=UMD_JPEG, ContentType="image/jpeg")
        return bytes(self._client.get_object(**self.object(path))["Body"].read())

    def delete(self, path: str) -> int:
        """Delete the image of *path*. Returns the status of the answer."""
        self._client.delete_object(**self.object(path))
        return 204
