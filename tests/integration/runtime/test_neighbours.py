"""A whole `.env` of each newer line of umd-lib/mezcal, started as it stands in front of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import jwt
import pytest
import requests

from tests.support.commands import run
from tests.support.installation import ONE_WORKER, SAMPLES, Installation
from tests.support.origin_server import OriginServer
from tests.support.s3_server import KEYS, running_s3
from tests.support.umd_mezcal import UMD_JPEG, UmdFolder

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef0123456789abcdef"
ENDPOINT = "https://fcrepo.example.edu/fcrepo/rest"
FEDORA_LINE = """
MEZCAL_FCREPO_ENDPOINT={endpoint}
MEZCAL_FCREPO_ORIGIN={origin}
MEZCAL_FCREPO_JWT_SECRET={secret}
MEZCAL_STORAGE_DIR=image_cache
MEZCAL_STORAGE_LAYOUT={layout}
MEZCAL_MAX_IMAGE_PIXELS=0
"""
S3_LINE = """
AUTH_TYPE=JWT_TOKEN
MEZCAL_JWT_TOKEN=t0k3n
MEZCAL_REPO_BASE_URL={origin}
MEZCAL_STORAGE_BACKEND=s3
MEZCAL_S3_BUCKET={bucket}
MEZCAL_S3_PREFIX=cache
MEZCAL_S3_PRESIGNED_URL_EXPIRY=900
AWS_DEFAULT_REGION=us-east-1
"""


def fedora_line(fedora: OriginServer, layout: str = "MD5_ENCODED_PAIRTREE") -> str:
    return FEDORA_LINE.format(endpoint=ENDPOINT, origin=fedora.url.rstrip("/"), secret=SECRET, layout=layout)


def started(folder: Path, env_file: str, **given: str) -> Installation:
    """Start what the `.env` says; no variable of the environment says anything else."""
    (folder / ".env").write_text(env_file)
    installation = Installation(folder, ENDPOINT, *ONE_WORKER, REPO_BASE_URL="", **given)
    installation.start()
    return installation


def test_the_fedora_line_asks_the_internal_address_as_before(tmp_path: Path) -> None:
    with OriginServer(SAMPLES) as fedora:
        up = started(tmp_path, fedora_line(fedora))
        try:
            assert up.ask("maps/valley.tif").status_code == 200
            form = up.request(f"/?url={ENDPOINT}/maps/valley.tif")
            assert (form.status_code, form.headers["Location"]) == (302, "/images/maps/valley.tif")
            assert up.request(f"/?url={fedora.url}maps/valley.tif").status_code == 404, "no name of the repository"
        finally:
            up.end()
        assert list((tmp_path / "image_cache").glob("*/*/**/image.jpg")), "where that line stores it"
        for request in fedora.seen():
            assert request.headers["x-forwarded-host"] == "fcrepo.example.edu"
            assert request.headers["x-forwarded-proto"] == "https"
            scheme, _, token = request.headers["authorization"].partition(" ")
            claims = jwt.decode(token, SECRET, algorithms=["HS256"])
            assert (scheme, claims["sub"], claims["iss"], claims["role"]) == (
                "Bearer",
                "mezcal",
                "fcrepo",
                "fedoraAdmin",
            )
        assert fedora.count("maps/valley.tif") == 1


def test_the_s3_line_answers_with_redirects_to_its_own_keys(tmp_path: Path) -> None:
    with OriginServer(SAMPLES) as repository, running_s3(tmp_path) as s3:
        bucket = s3.bucket()
        assert s3.request("PUT", f"{bucket}/cache/old.tif/image.jpg", data=b"\xff\xd8 of that line \xff\xd9").ok
        env_file = S3_LINE.format(origin=repository.url.rstrip("/"), bucket=bucket)
        up = started(tmp_path, env_file, STORAGE_URL=s3.url, **KEYS)
        try:
            old, new = up.ask("old.tif"), up.ask("maps%2Fvalley.tif")
        finally:
            up.end()
        for answer in (old, new):
            assert answer.status_code == 302
            assert "X-Amz-Signature" in answer.headers["Location"]
        assert requests.get(old.headers["Location"], timeout=30).content == b"\xff\xd8 of that line \xff\xd9"
        assert requests.get(new.headers["Location"], timeout=30).content[:2] == b"\xff\xd8"
        assert urlsplit(new.headers["Location"]).path == f"/{bucket}/cache/maps/valley.tif/image.jpg", "its own key"
        assert {request.headers.get("authorization") for request in repository.seen()} == {"Bearer t0k3n"}


@pytest.mark.parametrize(
    "layout",
    [
        "md5_encoded_pairtree",
        pytest.param("basic", marks=pytest.mark.slow),
        pytest.param("md5_encoded", marks=pytest.mark.slow),
    ],
)
def test_a_cache_goes_to_mezcal_and_back_and_again_with_deletions_at_each_step(tmp_path: Path, layout: str) -> None:
    umd = UmdFolder(tmp_path / "image_cache", layout)
    for path in ("old.tif", "agave-p3.tif"):
        umd.get(path)
    with OriginServer(SAMPLES) as fedora:
        up = started(tmp_path, fedora_line(fedora, layout))
        try:
            assert up.ask("old.tif").content == up.ask("agave-p3.tif").content == UMD_JPEG
            assert up.ask("maps/valley.tif").status_code == up.ask("plate-cmyk.tif").status_code == 200
            assert [up.ask(path, "DELETE").status_code for path in ("agave-p3.tif", "plate-cmyk.tif")] == [204, 204]
            assert up.ask("agave-p3.tif").content != UMD_JPEG, "mezcal has made it"
            refused = run(up, "cache", "hand-back")
            assert (refused.returncode, "stop it first" in refused.stderr) == (2, True)
            assert up.stop() == 0

            handed = run(up, "cache", "hand-back")
            assert (handed.returncode, handed.stderr.count("Traceback")) == (0, 0), handed.stderr
            assert umd.get("maps/valley.tif")[:2] == b"\xff\xd8"
            assert [umd.delete(path) for path in ("agave-p3.tif", "maps/valley.tif", "plate-cmyk.tif")] == [204] * 3
            assert umd.get("maps/valley.tif") == UMD_JPEG

            up.start()
            assert up.ask("maps/valley.tif").content == up.ask("old.tif").content == UMD_JPEG
            assert [up.ask(path, "DELETE").status_code for path in ("maps/valley.tif", "old.tif")] == [204, 204]
            assert up.ask("maps/valley.tif").content != UMD_JPEG
            assert up.ask("old.tif").status_code == 404, "the repository never had it"
        finally:
            up.end()
