"""Masters are compared with the digests that their origin declares, wherever they come from."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
from base64 import b64encode
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anycrc
import pytest
from PIL import Image

from mezcal.convert import ConversionOptions
from mezcal.derive import derive
from mezcal.errors import MasterDamaged, MasterIncomplete, OriginFailed, TooLarge
from mezcal.origin import open_origin
from mezcal.origin.archive.frame_files import FrameOrigin
from mezcal.recipe import Mezzanine
from mezcal.settings import Layout, load
from mezcal.store.local.store import LocalStore
from tests.integration.origin import BIG, MASTER, fetch
from tests.support.s3_server import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.origin import Origin
    from tests.support.origin_server import OriginServer
    from tests.support.s3_server import S3Server

    Open = Callable[..., Origin]

LDP = {"Link": '<http://www.w3.org/ns/ldp#NonRDFSource>; rel="type"'}


def repr_digest(data: bytes) -> dict[str, str]:
    return {"Repr-Digest": f"sha-256=:{b64encode(hashlib.sha256(data).digest()).decode()}:"}


def crc(name: str, size: int) -> str:
    return b64encode(anycrc.Model(name).calc(MASTER).to_bytes(size, "big")).decode()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def verified(repository: Origin, path: str = "a.tif") -> str | None:
    with repository.open(path) as master:
        master.complete()
        digest = master.verified_digest()
    return str(digest) if digest else None


def test_a_master_that_is_what_the_repository_declares_is_verified(origin: OriginServer, repository: Open) -> None:
    origin.script("a.tif", headers=repr_digest(MASTER))
    assert verified(repository()) == f"sha-256:{hashlib.sha256(MASTER).hexdigest()}"
    assert origin.seen("a.tif")[0].headers["want-repr-digest"].startswith("sha-256")
    assert verified(repository(), "big.tif") is None


@pytest.mark.parametrize(("master", "at"), [(MASTER, 0), (MASTER, len(MASTER) - 1), (BIG, 3_000_000)])
def test_one_flipped_bit_is_found(origin: OriginServer, repository: Open, master: bytes, at: int) -> None:
    origin.script("a.tif", headers=repr_digest(master), body=flipped(master, at))
    with pytest.raises(MasterDamaged, match=r"its sha-256 is \w{64}, .* \(Repr-Digest\)"):
        fetch(repository())
    assert fetch(repository(origin_digests="off")) == flipped(master, at)


def test_what_is_asked_for_and_what_is_believed_are_settings(origin: OriginServer, repository: Open) -> None:
    origin.script("a.tif", headers=LDP | repr_digest(MASTER))
    assert verified(repository(origin_digests="accept"))
    assert verified(repository(origin_digests="off")) is None
    assert not any("want-repr-digest" in seen.headers for seen in origin.seen())


def test_a_download_that_is_resumed_is_hashed_once(origin: OriginServer, repository: Open) -> None:
    origin.script("big.tif", headers=repr_digest(BIG), cut_at=2_000_000, cuts=1)
    assert verified(repository(), "big.tif")
    assert [seen.headers.get("range") for seen in origin.seen("big.tif")] == [None, "bytes=2000000-"]
    origin.script("big.tif", headers=repr_digest(BIG), cut_at=2_000_000, cuts=1, ranges=False)  # begins again
    assert verified(repository(), "big.tif")


def test_a_part_that_was_fetched_ahead_must_be_that_of_the_whole(origin: OriginServer, repository: Open) -> None:
    script = origin.script("big.tif", hold_at=65_536, headers=repr_digest(BIG))
    with repository().open("big.tif") as master:
        origin.wait_for_requests("big.tif", 1)
        script.body = flipped(BIG, len(BIG) - 5)  # only the part is damaged: its tag is the same
        script.etag = master.etag
        master.file.seek(-10, 2)
        assert master.file.read() != BIG[-10:]
        script.go.set()
        with pytest.raises(MasterIncomplete, match="changed"):
            master.complete()


@pytest.mark.parametrize("data", [MASTER, gzip.compress(MASTER, mtime=0)], ids=["of-the-file", "of-the-coded-bytes"])
def test_of_a_compressed_response_the_digest_may_be_of_either_form(
    origin: OriginServer, repository: Open, data: bytes
) -> None:
    coded = gzip.compress(MASTER, mtime=0)
    origin.script("a.tif", body=coded, headers={"Content-Encoding": "gzip", **repr_digest(data)})
    assert verified(repository())
    origin.script("a.tif", body=coded, headers={"Content-Encoding": "gzip", **repr_digest(BIG)})
    with pytest.raises(MasterDamaged):
        fetch(repository())


def test_fedora_is_asked_beside_the_download(origin: OriginServer, repository: Open) -> None:
    value = hashlib.sha256(MASTER).hexdigest()
    script = origin.script("a.tif", headers=LDP, computed={"Digest": f"sha-256={value}"})
    assert verified(repository()) == f"sha-256:{value}"
    assert {seen.method: seen.headers.get("want-digest") for seen in origin.seen()} == {"GET": None, "HEAD": "sha-256"}
    script.computed = {"Digest": f"md5={'0' * 32}"}
    assert verified(repository()) is None, "it was not asked for"
    script.computed = {"Digest": f"sha-256={'0' * 64}"}
    with pytest.raises(MasterDamaged):
        fetch(repository())
    assert verified(repository(origin_digests="accept")) is None


def test_a_master_is_described_without_being_sent(origin: OriginServer, repository: Open) -> None:
    value = hashlib.sha256(MASTER).hexdigest()
    origin.script("a.tif", headers=LDP, computed={"Digest": f"sha-256={value}"})
    described = repository().describe("a.tif")
    assert (str(described.digest), described.size) == (f"sha-256:{value}", len(MASTER))
    assert {seen.method for seen in origin.seen()} == {"HEAD"}
    origin.script("b.tif", body=MASTER, length=0, headers=repr_digest(MASTER))
    assert repository().describe("b.tif").size is None, "a server that says nothing true of it"
    assert str(repository(origin_digest_file="{path}.sha1").describe("a.tif").digest) == f"sha-256:{value}"


def test_a_file_beside_the_master_has_its_digest(origin: OriginServer, repository: Open) -> None:
    opened = repository(origin_digest_file="{path}.sha256")
    assert verified(opened) is None, "there is no such file"
    origin.script("a.tif.sha256", body=f"{hashlib.sha256(MASTER).hexdigest()}  a.tif\n".encode())
    assert verified(opened)
    origin.script("a.tif", body=flipped(MASTER, 9))
    with pytest.raises(MasterDamaged, match=r"a\.tif\.sha256"):
        fetch(opened)
    origin.script("a.tif.sha256", fails=-1)
    with pytest.raises(OriginFailed):
        fetch(opened)


def test_a_page_in_the_place_of_that_file_is_no_digest(origin: OriginServer, repository: Open) -> None:
    origin.script("a.tif.md5", body=b"<html>sign in</html>", content_type="text/html")
    assert verified(repository(origin_digest_file="{path}.md5")) is None


def test_parts_of_a_frame_are_compared_with_their_own_digests(origin: OriginServer, tmp_path: Path) -> None:
    settings = load(_env_file=None, archive_api_url=origin.url, tmp_dir=tmp_path, origin_retries=0)
    script = origin.script("big.tif")
    with FrameOrigin(settings, {"1": f"{origin.url}big.tif"}).open_parts("1") as master:
        wrong = b64encode(hashlib.sha256(b"").digest()).decode()
        script.headers = {"Content-Digest": f"sha-256=:{wrong}:"}
        master.file.seek(3_000_000)
        with pytest.raises(MasterDamaged):
            master.file.read(10)


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_of_masters_with_one_flipped_bit_none_becomes_a_derivative(
    origin: OriginServer, repository: Open, tmp_path: Path, count: int
) -> None:
    picture = io.BytesIO()
    Image.effect_noise((40, 40), 90).save(picture, "TIFF")
    master, store, chosen = picture.getvalue(), LocalStore(tmp_path / "cache", Layout.BASIC), random.Random(count)
    opened = repository()
    for bit in chosen.sample(range(8 * len(master)), count):
        body = bytearray(master)
        body[bit // 8] ^= 1 << bit % 8
        origin.script(f"{bit}.tif", headers=repr_digest(master), body=bytes(body))
        with pytest.raises(MasterDamaged):
            derive(Mezzanine.parse(f"{bit}.tif"), opened, store, ConversionOptions())
        assert origin.count(f"{bit}.tif") == 2
    assert list(store.entries()) == []
    origin.script("whole.tif", headers=repr_digest(master), body=master)
    derive(Mezzanine.parse("whole.tif"), opened, store, ConversionOptions())
    assert store.sidecar(Mezzanine.parse("whole.tif")).master_digest == f"sha-256:{hashlib.sha256(master).hexdigest()}"


def test_a_size_is_believed_only_of_a_master_that_is_not_damaged(
    origin: OriginServer, repository: Open, tmp_path: Path
) -> None:
    picture = io.BytesIO()
    Image.new("L", (40, 40)).save(picture, "TIFF")
    master, store = picture.getvalue(), LocalStore(tmp_path / "cache", Layout.BASIC)
    script = origin.script("a.tif", headers=repr_digest(master), body=master)
    for failure, body in ((TooLarge, master), (MasterDamaged, flipped(master, len(master) - 1))):
        script.body = body
        with pytest.raises(failure):
            derive(Mezzanine.parse("a.tif"), repository(), store, ConversionOptions(max_pixels=1))


# --- a folder


def test_a_file_of_a_folder_is_compared_with_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(MASTER)
    opened = open_origin(load(_env_file=None, repo_base_url=tmp_path.as_uri(), origin_digest_file="{path}.md5"))
    assert verified(opened) is None
    digest = hashlib.md5(MASTER).hexdigest()
    (tmp_path / "a.tif.md5").write_text(f"{digest}  a.tif\n")
    assert verified(opened) == f"md5:{digest}"
    (tmp_path / "a.tif").write_bytes(flipped(MASTER, 17))
    with pytest.raises(MasterDamaged, match=r"a\.tif\.md5"):
        fetch(opened)


# --- a bucket


CHECKSUMS: dict[str, dict[str, Any]] = {  # by the algorithm that is compared: how the object is uploaded
    "sha-256": {"ChecksumAlgorithm": "SHA256"},
    "crc64nvme": {"ChecksumAlgorithm": "CRC64NVME", "ChecksumCRC64NVME": crc("CRC64-NVME", 8)},
    "md5": {"ChecksumAlgorithm": "CRC32"},
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_an_object_is_compared_with_its_checksum_or_its_md5(s3: S3Server, tmp_path: Path, algorithm: str) -> None:
    opened = bucket_with(s3, tmp_path, MASTER, CHECKSUMS[algorithm])
    assert (verified(opened) or "").startswith(f"{algorithm}:")


def test_an_object_that_differs_from_its_checksum_is_refused(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(MasterDamaged, match="x-amz-checksum-crc64nvme"):
        fetch(bucket_with(s3, tmp_path, flipped(MASTER, 5), CHECKSUMS["crc64nvme"]))


def bucket_with(s3: S3Server, folder: Path, content: bytes, options: dict[str, Any]) -> Origin:
    """An origin whose bucket has *content* as `a.tif`."""
    bucket = f"m-{uuid4().hex[:8]}"
    s3.bucket(bucket)
    with closing(s3.client("s3", *KEYS.values())) as client:
        client.put_object(Bucket=bucket, Key="a.tif", Body=content, **options)
    place = {"repo_base_url": f"s3://{bucket}/", "repo_internal_url": s3.url, "tmp_dir": folder}
    return open_origin(load(_env_file=None, **place, repo_username="id", repo_password="secret"))
