"""Images over HTTP from a running installation, as a IIIF server, a browser and an operator see them."""

from __future__ import annotations

import hashlib
import io
import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests
from PIL import Image, ImageOps

from tests.integration.conftest import TOKEN
from tests.support.installation import SAMPLES
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

BEARER = {"Authorization": f"Bearer {TOKEN}"}
VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()


def size_of(response: requests.Response) -> tuple[int, int]:
    with Image.open(io.BytesIO(response.content)) as image:
        image.load()
        assert image.format == "JPEG"
        return image.size


def problem(response: requests.Response) -> dict[str, object]:
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "no-store" in response.headers["Cache-Control"]
    body: dict[str, object] = response.json()
    assert body["status"] == response.status_code
    return body


@pytest.mark.parametrize(
    "sample",
    [
        "agave-p3.tif",
        "galaxy-16bit.tif",
        "plate-cmyk.tif",
        "manuscript-bilevel.tif",
        "maps/valley.tif",
        "portrait-rotated.tif",
    ],
)
def test_every_sample_becomes_a_whole_upright_jpeg(installation: Installation, sample: str) -> None:
    with Image.open(SAMPLES / sample) as master:
        expected = ImageOps.exif_transpose(master).size
    assert size_of(installation.ask(sample)) == expected


def test_the_second_request_is_a_hit(installation: Installation, repository: OriginServer, master: str) -> None:
    cold, warm = installation.ask(master), installation.ask(master)
    assert (cold.status_code, warm.status_code) == (200, 200)
    assert cold.headers["Cache-Status"] == "mezcal; fwd=miss"
    assert warm.headers["Cache-Status"] == "mezcal; hit"
    assert cold.content == warm.content
    assert repository.count(master) == 1


def test_an_image_has_the_headers_that_iiif_servers_need(installation: Installation, master: str) -> None:
    response = installation.ask(master, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.headers["Accept-Ranges"] == "bytes"
    assert not {"Content-Encoding", "Transfer-Encoding"} & response.headers.keys()
    assert response.headers["ETag"].startswith('"')
    assert parsedate_to_datetime(response.headers["Last-Modified"]).tzinfo is not None
    head = installation.ask(master, "HEAD")
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Cache-Control"):
        assert head.headers[name] == response.headers[name]


def test_a_head_request_makes_a_missing_image(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    assert installation.ask(master, "HEAD").status_code == 200
    assert installation.stored(master) is not None
    assert size_of(installation.ask(master))
    assert repository.count(master) == 1


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-31", 206, slice(0, 32)),
        ("bytes=-10", 206, slice(-10, None)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=0-0,99999999-", 206, slice(0, 1)),
        ("pages=1-2", 200, slice(None)),
        ("bytes=x-y", 200, slice(None)),
        ("bytes=99999999-", 416, None),
    ],
)
def test_ranges_are_served_as_rfc_9110_says(
    installation: Installation, asked: str, status: int, part: slice | None
) -> None:
    whole = installation.ask("maps/valley.tif")
    response = installation.ask("maps/valley.tif", headers={"Range": asked})
    assert response.status_code == status
    if part is None:
        assert response.headers["Content-Range"] == f"bytes */{len(whole.content)}"
    else:
        assert response.content == whole.content[part]
        assert response.headers["ETag"] == whole.headers["ETag"]


def test_a_client_that_wants_the_digest_of_an_image_gets_it(installation: Installation) -> None:
    wanted = {"Want-Repr-Digest": "sha-256=10"}
    whole = installation.ask("maps/valley.tif", headers=wanted)
    digest = b64encode(hashlib.sha256(whole.content).digest()).decode()
    assert whole.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    for method, more, status in (("HEAD", {}, 200), ("GET", {"Range": "bytes=2-9"}, 206)):
        response = installation.ask("maps/valley.tif", method, headers=wanted | more)
        assert (response.status_code, response.headers["Repr-Digest"]) == (status, f"sha-256=:{digest}:")
    assert "Repr-Digest" not in installation.ask("maps/valley.tif").headers


def test_conditions_are_honoured(installation: Installation) -> None:
    whole = installation.ask("maps/valley.tif")
    tag, date = whole.headers["ETag"], whole.headers["Last-Modified"]
    for name, value in (("If-None-Match", tag), ("If-Modified-Since", date), ("If-None-Match", f'"x", {tag}')):
        for method in ("GET", "HEAD"):
            unchanged = installation.ask("maps/valley.tif", method, headers={name: value})
            assert (unchanged.status_code, unchanged.content) == (304, b"")
            assert unchanged.headers["ETag"] == tag
    other = installation.ask("maps/valley.tif", headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, whole.content)


def test_the_same_image_has_a_url_that_ends_in_jpg(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    assert installation.request(f"/mezzanine/{master}.jpg").content == installation.ask(master).content
    assert repository.count(master) == 1


@pytest.mark.parametrize(
    "name", ["100%.tif", "what?.tif", "a b#c.tif", "naïve/東京.tif", "semi;colon&.tif", "a@b:80/c"]
)
def test_masters_with_unusual_names_are_served(installation: Installation, repository: OriginServer, name: str) -> None:
    repository.script(name, body=VALLEY)
    assert installation.ask(quote(name)).status_code == 200
    assert repository.count(name) == 1


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/images/../x", "'..'"),
        ("/images/%2e%2e/x", "'..'"),
        ("/images/a/../../../etc/passwd", "'..'"),
        ("/images/", "empty"),
        ("/images/a%00b", "control character"),
        ("/images/" + "a" * 5000, "longer than"),
        ("/images/agave-p3.tif/", "names a folder"),
        ("/images/a//b", "segment ''"),
        ("/images//b", "segment ''"),
        ("/images/%2fetc%2fpasswd", "segment ''"),
        ("/images/a%0a", "control character"),
        ("/images", "is missing"),
        ("/images/%ff%fe", "UTF-8"),
        ("/images/agave-p3.tif?page=0", "page"),
        ("/images/agave-p3.tif?page=x", "page"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_path_that_is_not_plain_and_relative_is_refused(
    installation: Installation, target: str, reason: str, method: str
) -> None:
    before = files(installation)
    response = raw(installation, method, target)
    assert response.status_code == 400
    assert reason in str(problem(response)["detail"])
    assert files(installation) == before


def files(installation: Installation) -> list[Path]:
    """Returns all its files, but not those of running processes: each makes its own when it first counts something."""
    run = installation.folder / "data" / "run"
    return sorted(path for path in installation.folder.rglob("*") if run not in path.parents)


def raw(installation: Installation, method: str, target: str) -> requests.Response:
    """Send a request without normalizing its path."""
    request = requests.Request(method, installation.url, headers=BEARER).prepare()
    request.url = installation.url + target
    with requests.Session() as session:
        return session.send(request, timeout=60)


def test_a_path_below_a_cached_one_is_another_image(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    repository.script(f"{master}/sub", body=VALLEY)
    repository.script(f"{master}/image.jpg", body=VALLEY)
    for path in (master, f"{master}/sub", f"{master}/image.jpg"):
        assert installation.ask(path).status_code == 200
    assert installation.ask(master, "DELETE", headers=BEARER).status_code == 204
    assert installation.stored(f"{master}/sub") is not None


def test_a_deleted_image_is_made_again(installation: Installation, repository: OriginServer, master: str) -> None:
    installation.ask(master)
    assert installation.ask(master, "DELETE", headers=BEARER).status_code == 204
    assert installation.stored(master) is None
    assert installation.ask(master, "DELETE", headers=BEARER).status_code == 204
    assert installation.ask(master).headers["Cache-Status"] == "mezcal; fwd=miss"
    assert repository.count(master) == 2


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
def test_deleting_needs_a_token(installation: Installation, master: str, headers: dict[str, str]) -> None:
    installation.ask(master)
    response = installation.ask(master, "DELETE", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert installation.stored(master) is not None


@pytest.mark.parametrize(
    ("script", "status", "kind"),
    [
        ({"status": 404, "fails": -1}, 404, "master-missing"),
        ({"status": 410, "fails": -1}, 404, "master-missing"),
        ({"status": 401, "fails": -1}, 502, "master-denied"),
        ({"status": 403, "fails": -1}, 502, "master-denied"),
        ({"status": 500, "fails": -1}, 502, "origin-failed"),
        ({"silent": 99}, 502, "origin-failed"),
        ({"body": VALLEY, "cut_at": 1000}, 502, "master-incomplete"),
        ({"body": VALLEY, "headers": {"Repr-Digest": f"md5=:{'A' * 22}==:"}}, 502, "master-damaged"),
        ({"status": 400, "fails": -1}, 502, "unusable-response"),
        ({"redirect": "http://[nonsense"}, 502, "unusable-response"),
        ({"body": b"<html>gone</html>", "content_type": "text/html"}, 415, "page-instead"),
        ({"body": b"<!DOCTYPE html><title>Sign in</title>", "content_type": "image/tiff"}, 415, "page-instead"),
        ({"body": b"no image at all", "content_type": "image/tiff"}, 415, "not-an-image"),
        ({"body": b"", "content_type": "image/tiff"}, 415, "master-empty"),
        ({"body": VALLEY[: len(VALLEY) // 4]}, 422, "undecodable"),
        ({"redirect": "http://127.0.0.2:1/elsewhere.tif"}, 502, "origin-redirect-refused"),
    ],
)
def test_each_failure_of_the_origin_or_the_master_has_its_own_status(
    installation: Installation, repository: OriginServer, master: str, script: dict[str, object], status: int, kind: str
) -> None:
    repository.script(master, **script)
    response = installation.ask(master)
    assert response.status_code == status
    body = problem(response)
    assert body["type"] == f"/problems/{kind}"
    assert body["detail"]
    assert installation.request(f"/problems/{kind}").json()["status"] == status
    assert installation.stored(master) is None
    assert installation.scratch() == []


def test_a_master_that_was_repaired_is_shown_after_it_was_asked_for_again(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    """Its failure is remembered for a month. But the repository is asked if the master has changed since."""
    script = repository.script(master, body=VALLEY[: len(VALLEY) // 4])
    assert installation.ask(master).status_code == 422
    script.body = VALLEY
    refused = installation.ask(master)
    assert refused.status_code == 422
    assert "A replaced file is noticed within a minute of a request" in problem(refused)["detail"]
    until(lambda: installation.ask(master).status_code == 200, what="the image of the repaired master")


def test_a_failed_master_that_has_not_changed_is_not_read_again(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    repository.script(master, body=VALLEY[: len(VALLEY) // 4])
    for _ in range(3):
        assert installation.ask(master).status_code == 422
    until(lambda: [seen.method for seen in repository.seen(master)] == ["GET", "HEAD"], what="one look")
    assert installation.ask(master).status_code == 422


def test_a_temporary_failure_of_the_origin_is_retried(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    repository.script(master, body=VALLEY, fails=1)
    assert installation.ask(master).status_code == 200


def test_a_missing_master_costs_the_origin_one_request(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    repository.script(master, status=404, fails=-1)
    assert [installation.ask(master).status_code for _ in range(5)] == [404] * 5
    assert repository.count(master) == 1
    repository.script(master, body=VALLEY)
    installation.ask(master, "DELETE", headers=BEARER)
    assert installation.ask(master).status_code == 200


def test_a_browser_gets_a_page_where_a_program_gets_json(installation: Installation) -> None:
    page = installation.ask("nothing-here.tif", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 404
    assert page.headers["Content-Type"].startswith("text/html")
    assert "no-store" in page.headers["Cache-Control"]
    assert "<script" not in page.text


def test_after_wait_seconds_the_response_is_503_and_the_job_goes_on(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    script = repository.script(master, body=VALLEY, hold_at=1000)
    response = installation.ask(master, headers={"Prefer": "wait=1"})
    assert response.status_code == 503
    assert response.headers["Retry-After"].isdigit()
    job = problem(response)["job"]
    assert installation.request(f"/jobs/{job}").json()["state"] == "running"
    script.go.set()
    assert installation.ask(master).status_code == 200
    assert repository.count(master) == 1


def test_respond_async_returns_the_job(installation: Installation, master: str) -> None:
    response = installation.ask(master, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert (response.content, response.headers.get("Content-Type")) == (b"", None)
    job = response.headers["Location"]
    until(lambda: installation.request(job).json()["state"] == "done", what="the job's end")
    assert installation.ask(master).headers["Cache-Status"] == "mezcal; hit"


def test_an_unknown_job_is_not_found(installation: Installation) -> None:
    assert installation.request("/jobs/" + "0" * 32).status_code == 404


def ask_all(urls: list[str]) -> list[requests.Response]:
    """Send all requests at once, each on its own connection."""
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(lambda url: requests.get(url, timeout=60), urls))


def test_fifty_clients_share_one_download(installation: Installation, repository: OriginServer, master: str) -> None:
    """Fifty clients of one new image, at two API processes: fifty images, one request to the origin, one attempt."""
    script = repository.script(master, body=VALLEY, hold_at=len(VALLEY) // 2)
    assert len(installation.pids("api.server.gunicorn")) == 3
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask_all, [f"{installation.url}/images/{master}"] * 50)
        until(lambda: repository.count(master), what="the download")
        script.go.set()
        responses = asked.result()
    assert [response.status_code for response in responses] == [200] * 50
    assert len({response.content for response in responses}) == 1
    assert repository.count(master) == 1
    job = installation.job(master)
    assert job is not None
    assert job.attempts == 1


def test_the_sidecar_names_the_source_of_a_derivative(installation: Installation, master: str) -> None:
    response = installation.ask(master)
    stored = installation.stored(master)
    assert stored is not None
    sidecar = json.loads(stored.path.with_name("image.json").read_text())
    assert sidecar["recipe"]["path"] == master
    assert sidecar["size"] == len(response.content)
    assert (sidecar["width"], sidecar["height"]) == size_of(response)
    assert sidecar["master_size"] == len(VALLEY)


def test_the_form_of_the_home_page_redirects_to_the_image(installation: Installation, repository: OriginServer) -> None:
    page = installation.request("/")
    assert page.status_code == 200
    assert "<form" in page.text
    assert 'name="url"' in page.text
    response = installation.request("/", params={"url": f"{repository.url}maps/a%20b%3F.tif"})
    assert (response.status_code, response.headers["Location"]) == (302, "/images/maps/a%20b%3F.tif")
    assert installation.request("/", params={"url": "http://elsewhere.example/x.tif"}).status_code == 404


def test_health_and_readiness_are_reported(installation: Installation) -> None:
    assert installation.request("/healthz").json() == {"status": "ok"}
    body = installation.request("/readyz").json()
    assert body.pop("seconds").keys() == {"broker", "store"}
    assert body == {"status": "ok", "broker": "ok", "store": "ok"}


@pytest.mark.parametrize(("target", "method", "status"), [("/nowhere", "GET", 404), ("/images/x", "POST", 405)])
def test_an_unknown_route_is_answered_with_a_problem(
    installation: Installation, target: str, method: str, status: int
) -> None:
    assert problem(installation.request(target, method))["status"] == status
