"""Which digests an origin declares: in header fields, as checksums of S3, and in files beside the masters."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from mezcal.errors import OriginFailed
from mezcal.origin.access import Addresses
from mezcal.origin.fixity import Digest, RunningDigest
from mezcal.origin.fixity.digest_files import DigestFiles
from mezcal.origin.fixity.headers import http_digest, is_of_ldp, part_digest, s3_digest
from mezcal.origin.fixity.requests import DigestRequests
from mezcal.origin.retries import RetryBudget, TransientFailure
from mezcal.settings import WrongSetting, load

if TYPE_CHECKING:
    from mezcal.origin.client import OriginClient

DATA = b"II*\0 a master"
MD5, SHA1 = hashlib.md5(DATA).digest(), hashlib.sha1(DATA).digest()
SHA256, SHA512 = hashlib.sha256(DATA).digest(), hashlib.sha512(DATA).digest()
CRC32 = zlib.crc32(DATA).to_bytes(4, "big")
CRC64 = b"\xae\x8b\x14\x86\x0a\x79\x98\x88"  # of the digits from 1 to 9: the check value in the CRC catalogue


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


@pytest.mark.parametrize(("headers", "expected"), [
    ({"Repr-Digest": f"sha-256=:{b64(SHA256)}:"}, ("sha-256", SHA256)),
    ({"Repr-Digest": f"md5=:{b64(MD5)}:, unixsum=:AAA=:,sha-512=:{b64(SHA512)}:, sha-256=:{b64(SHA256)}:"},
     ("sha-256", SHA256)),
    ({"Repr-Digest": f"md5=:{b64(MD5)}:,sha-512=:{b64(SHA512)}:"}, ("sha-512", SHA512)),
    ({"Content-Digest": f"sha-256=:{b64(SHA256)}:;note=1"}, ("sha-256", SHA256)),
    ({"Content-Digest": f"sha=:{b64(SHA1)}:", "Repr-Digest": f"md5=:{b64(MD5)}:"}, ("sha", SHA1)),
    ({"Digest": f"SHA-256={b64(SHA256)}"}, ("sha-256", SHA256)),
    ({"Digest": f"MD5={b64(MD5)},SHA={b64(SHA1)}"}, ("sha", SHA1)),
    ({"Digest": f"sha={SHA1.hex()}"}, ("sha", SHA1)),  # Fedora
    ({"Digest": f"id-sha-512={b64(SHA512)}"}, ("sha-512", SHA512)),
    ({"Repr-Digest": f"sha-256={b64(SHA256)}"}, None),  # no byte sequence
    ({"Repr-Digest": "sha-256=:AAAA:"}, None),  # of another length
    ({"Repr-Digest": "sha-256=:****:"}, None),
    ({"Digest": "adler32=AAAAAA==, sha-256"}, None),
    ({"ETag": f'"{MD5.hex()}"'}, None),  # only S3 says that it is an MD5
    ({}, None),
])  # fmt: skip
def test_the_preferred_digest_of_a_web_server_counts(
    headers: dict[str, str], expected: tuple[str, bytes] | None
) -> None:
    assert http_digest(headers) == (Digest(*expected) if expected else None)


TAG = {"ETag": f'"{MD5.hex()}"'}
MULTIPART = {"ETag": f'"{MD5.hex()}-3"'}


@pytest.mark.parametrize(("headers", "expected"), [
    ({"x-amz-checksum-sha256": b64(SHA256), "x-amz-checksum-type": "FULL_OBJECT"} | TAG, ("sha-256", SHA256)),
    ({"x-amz-checksum-sha1": b64(SHA1)} | TAG, ("sha", SHA1)),
    ({"x-amz-checksum-crc32": b64(CRC32)} | MULTIPART, ("crc32", CRC32)),
    ({"x-amz-checksum-crc32": b64(CRC32)} | TAG, ("md5", MD5)),
    ({"x-amz-checksum-crc32c": b64(CRC32)} | MULTIPART, ("crc32c", CRC32)),
    ({"x-amz-checksum-crc64nvme": b64(CRC64), "x-amz-checksum-type": "FULL_OBJECT"} | TAG, ("crc64nvme", CRC64)),
    ({"x-amz-checksum-crc64nvme": f"{b64(CRC64)}-2"} | MULTIPART, None),
    ({"x-amz-checksum-crc32c": b64(CRC32), "x-amz-checksum-type": "COMPOSITE"} | MULTIPART, None),
    ({"x-amz-checksum-sha256": b64(SHA256), "x-amz-checksum-type": "COMPOSITE"} | MULTIPART, None),
    ({"x-amz-checksum-sha256": f"{b64(SHA256)}-3"} | MULTIPART, None),
    (TAG, ("md5", MD5)),
    (TAG | {"x-amz-server-side-encryption": "AES256"}, ("md5", MD5)),
    (TAG | {"x-amz-server-side-encryption": "aws:kms"}, None),
    (TAG | {"x-amz-server-side-encryption-customer-algorithm": "AES256"}, None),
    (TAG | {"x-amz-storage-class": "EXPRESS_ONEZONE"}, None),
    (MULTIPART, None),
])  # fmt: skip
def test_checksums_of_s3_count_if_they_are_of_the_whole_object(
    headers: dict[str, str], expected: tuple[str, bytes] | None
) -> None:
    assert s3_digest(headers) == (Digest(*expected) if expected else None)


def test_the_digest_of_a_part_is_content_digest_alone() -> None:
    headers = {"Repr-Digest": f"sha-256=:{b64(SHA256)}:", "Content-Digest": f"md5=:{b64(MD5)}:"}
    assert part_digest(headers) == Digest("md5", MD5)


def test_fedora_is_known_by_the_type_of_its_files() -> None:
    assert is_of_ldp({"Link": '<http://www.w3.org/ns/ldp#Resource>;rel="type", '
                              '<http://www.w3.org/ns/ldp#NonRDFSource>;rel="type"'})  # fmt: skip
    assert not is_of_ldp({})


@pytest.mark.parametrize("content", [
    f"{SHA256.hex()}  page.tif\n",
    f"{SHA256.hex()} *page.tif",
    f"\ufeff{SHA256.hex().upper()}\r\n",
    f"SHA256 (page.tif) = {SHA256.hex()}\n",
    f"SHA2-256(page.tif)= {SHA256.hex()}\n",
    f"{'0' * 64}  other.tif\n# all pages\n\n{SHA256.hex()}  ./books/page.tif\n",
    f"\\{SHA256.hex()}  books\\page.tif",
])  # fmt: skip
def test_a_file_has_the_digest_as_sha256sum_and_others_write_it(content: str) -> None:
    files = DigestFiles("sums/{path}.SHA256")
    assert files.path_for("books/page.tif") == "sums/books/page.tif.SHA256"
    assert files.read(content.encode(), "books/page.tif") == Digest("sha-256", SHA256)


@pytest.mark.parametrize("content", ["", "<html>", MD5.hex(), f"{'0' * 64}  a.tif\n{'1' * 64}  b.tif\n"])
def test_another_file_has_no_digest(content: str) -> None:
    assert DigestFiles("{path}.sha256").read(content.encode(), "page.tif") is None


@pytest.mark.parametrize("pattern", ["sums.md5", "{path}.tif", "../{path}.md5", "/{path}.md5", "{path}{path}.md5"])
def test_a_pattern_that_is_none_is_refused_at_the_start(pattern: str) -> None:
    with pytest.raises(WrongSetting, match=r"ORIGIN_DIGEST_FILE .*\{path\}\.sha256"):
        load(_env_file=None, origin_digest_file=pattern)


@pytest.mark.parametrize(("algorithm", "of_the_digits"), [
    ("crc64nvme", CRC64.hex()), ("crc32c", "e3069283"), ("crc32", "cbf43926"),
])  # fmt: skip
def test_a_crc_has_the_check_value_of_its_catalogue(algorithm: str, of_the_digits: str) -> None:
    running = RunningDigest(algorithm)
    for part in (b"1234", memoryview(b"56789"), b""):
        running.update(part)
    assert running.result().value.hex() == of_the_digits


def test_a_digest_is_recorded_as_text_and_read_back() -> None:
    running = RunningDigest("crc32")
    running.update(DATA)
    assert str(running.result()) == f"crc32:{CRC32.hex()}"
    assert Digest.parse(f"crc32:{CRC32.hex()}") == running.result()
    assert Digest.parse("whirlpool:00") is None


def test_a_server_that_fails_to_compute_a_digest_is_not_asked_again() -> None:
    """It reads the whole file each time, and the master can be converted without."""

    class Failing:
        sent = 0

        def send(self, *_: object) -> NoReturn:
            self.sent += 1
            raise TransientFailure(OriginFailed("503"))

    client = Failing()
    requests = DigestRequests(cast("OriginClient", client), Addresses("http://a/", "http://a/"), None, _budget)
    assert requests.computed("1.tif", _budget()) is None
    assert client.sent == 1


def _budget() -> RetryBudget:
    return RetryBudget(2, 60)
