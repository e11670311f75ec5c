"""Thumbnails over HTTP from a running installation with a science archive that has permissions and faults."""

from __future__ import annotations

import io
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from tests import DATA
from tests.support.archive_server import OWNER, ArchiveServer
from tests.support.installation import MEZCAL, SAMPLES, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

    from tests.support.installation import Installation

FRAMES = DATA / "fits"
MONO = FRAMES / "mono_f32_rice.fits.fz"
OWN = {"Authorization": OWNER}
OWN_SECRETS = {
    "API_TOKENS": "api-token",
    "METRICS_TOKEN": "metrics-token",
    "WEBHOOK_TOKENS": "webhook-token",
    "WEBHOOK_LOGINS": "producer:password",
    "FLOWER_BASIC_AUTH": "mezcal:flower-password",
}


@pytest.fixture(scope="module")
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


@pytest.fixture(scope="module")
def observatory(archive: ArchiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running installation that draws like thumbnail-service."""
    given = {"ARCHIVE_API_URL": archive.url, "THUMBNAIL_LOOK": "lco", "ORIGIN_RETRIES": "0", "BREAKER_FAILURES": "1000"}
    given |= OWN_SECRETS
    with running_installation(tmp_path_factory.mktemp("observatory"), SAMPLES.as_uri(), **given) as up:
        yield up


def thumbnail_json(response: requests.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    found: dict[str, Any] = response.json()
    return found


def message(response: requests.Response, status: int) -> str:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    return str(response.json()["message"])


def picture(installation: Installation, url: str) -> bytes:
    assert url.startswith(installation.url)
    response = installation.request(url.removeprefix(installation.url))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    assert response.headers["Cache-Control"].startswith("private, max-age=")
    assert response.headers["ETag"]
    return response.content


def rvb(archive: ArchiveServer, request: str, **fields: Any) -> list[int]:
    pairs = [("rp", "R"), ("V", "V"), ("B", "B")]
    return [
        archive.add(FRAMES / f"rvbs_{name}.fits.fz", request_id=request, primary_optical_element=band, **fields)
        for band, name in pairs
    ]


def test_a_frame_by_id_and_by_basename_looks_as_in_thumbnail_service(
    observatory: Installation, archive: ArchiveServer
) -> None:
    number = archive.add(MONO)
    by_id = thumbnail_json(observatory.request(f"/{number}/"))
    assert by_id["propid"] == "PROPOSAL-1"
    assert picture(observatory, by_id["url"]) == (FRAMES / "default.expected.jpg").read_bytes()
    assert thumbnail_json(observatory.request(f"/frame{number}/")) == by_id
    assert archive.count(f"/files/{number}") == 1


def test_image_redirects_to_the_picture(observatory: Installation, archive: ArchiveServer) -> None:
    response = observatory.request(f"/{archive.add(MONO)}/", params={"image": "1", "width": 500, "height": 500})
    assert response.status_code == 302
    with Image.open(io.BytesIO(picture(observatory, response.headers["Location"]))) as image:
        assert image.size == (500, 333)


def test_equivalent_parameters_give_the_same_url(observatory: Installation, archive: ArchiveServer) -> None:
    number = archive.add(MONO)
    explicit = {"width": "200", "color": "False", "percentile": "50"}
    first = thumbnail_json(observatory.request(f"/{number}/", params=explicit))
    again = thumbnail_json(observatory.request(f"/{number}/", params={"quality": "080", "median": "no"}))
    assert first == again
    assert archive.count(f"/files/{number}") == 1


def test_the_archive_is_asked_with_the_authorization_of_each_client(
    observatory: Installation, archive: ArchiveServer
) -> None:
    number = archive.add(MONO, public=False)
    assert message(observatory.request(f"/{number}/"), 404) == "Not found"
    thumbnail_json(observatory.request(f"/{number}/", headers=OWN))
    assert message(observatory.request(f"/{number}/"), 404) == "Not found"
    assert message(observatory.request(f"/frame{number}/"), 404) == "Not found"
    thumbnail_json(observatory.request(f"/frame{number}/", headers=OWN))
    assert archive.count(f"/files/{number}") == 1
    assert all(who is None for target, who in archive.requests if target.startswith("/files/"))


def test_neither_credentials_nor_signed_urls_are_kept(observatory: Installation, archive: ArchiveServer) -> None:
    number = archive.add(MONO, public=False)
    thumbnail_json(observatory.request(f"/{number}/", headers=OWN))
    kept = [path for path in observatory.folder.rglob("*") if path.is_file() and "append" not in str(path)]
    for path in kept:
        assert b"the-owner" not in path.read_bytes(), path
        assert b"X-Signature" not in path.read_bytes(), path
    assert not observatory.table.redis.keys("*ticket:*")
    data = observatory.folder / "data"
    open_to_all = [path for path in (data, *data.rglob("*")) if path.lstat().st_mode & 0o007]
    assert not open_to_all, "other users of this machine may read the cache"
    secret = observatory.folder / "data" / "url-secret"
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_forged_or_expired_url_is_refused(observatory: Installation, archive: ArchiveServer) -> None:
    url = thumbnail_json(observatory.request(f"/{archive.add(MONO)}/"))["url"].removeprefix(observatory.url)
    key, _, query = url.partition("?")
    assert message(observatory.request(key), 403)
    assert message(observatory.request(url[:-1] + ("0" if url[-1] != "0" else "1")), 403)
    assert message(observatory.request(f"{key}?{query.replace('expires=1', 'expires=9')}"), 403)


def test_a_composite_is_aligned_by_coordinates(observatory: Installation, archive: ArchiveServer) -> None:
    red, *_ = rvb(archive, "r1")
    response = thumbnail_json(observatory.request(f"/{red}/", params={"color": "true", "width": 600, "height": 600}))
    assert response["aligned"] == "wcs"
    with Image.open(FRAMES / "color_rvbs.expected.jpg") as image:
        wanted = np.asarray(image).astype(float)
    with Image.open(io.BytesIO(picture(observatory, response["url"]))) as image:
        error = ((np.asarray(image).astype(float) - wanted) ** 2).mean()
    assert error == 0 or 10 * np.log10(255**2 / error) >= 30


def test_a_composite_needs_access_to_all_of_its_frames(observatory: Installation, archive: ArchiveServer) -> None:
    red, _, _ = rvb(archive, "r2", public=False)
    public = archive.add(MONO, request_id="r2", primary_optical_element="V")
    thumbnail_json(observatory.request(f"/{red}/", params={"color": "true"}, headers=OWN))
    assert message(observatory.request(f"/{public}/", params={"color": "true"}), 404) == "RVB frames not found"


def test_forty_clients_share_three_downloads_and_one_composition(
    observatory: Installation, archive: ArchiveServer
) -> None:
    numbers = rvb(archive, "r3")
    archive.hold.clear()
    with ThreadPoolExecutor(40) as pool:
        asking = [pool.submit(observatory.request, f"/{numbers[0]}/", params={"color": "1"}) for _ in range(40)]
        until(lambda: archive.count(f"/frames/{numbers[0]}/") == 40, what="forty requests")
        archive.hold.set()
        responses = [thumbnail_json(one.result()) for one in asking]
    assert len({response["url"] for response in responses}) == 1
    assert [archive.count(f"/files/{number}") for number in numbers] == [1, 1, 1]


def test_expired_urls_are_fetched_again(observatory: Installation, archive: ArchiveServer) -> None:
    """The URLs expire between the archive's response and the download."""
    number = archive.add(MONO)
    shown = archive.shown
    stale = iter([{**shown(number), "url": f"{archive.root}/files/{number}?X-Signature=old"}])
    archive.shown = lambda wanted: next(stale, None) or shown(wanted)  # type: ignore[method-assign]
    try:
        thumbnail_json(observatory.request(f"/{number}/"))
    finally:
        archive.shown = shown  # type: ignore[method-assign]
    assert archive.count(f"/frames/{number}/") == 2


@pytest.mark.parametrize(
    ("fields", "query", "text"),
    [
        (
            {"configuration_type": "bias", "request_id": 5},
            {"color": "true"},
            "color thumbnail for configuration_type=BIAS",
        ),
        ({"configuration_type": "ODD"}, {}, "thumbnail for configuration_type=ODD"),
        ({}, {"color": "True"}, "color thumbnail for a frame that does not have a request"),
        ({"filename": "x.tar.gz"}, {}, "thumbnail for non FITS-type frame"),
    ],
)
def test_unfit_frames_are_refused_with_the_texts_of_thumbnail_service(
    observatory: Installation, archive: ArchiveServer, fields: dict[str, Any], query: dict[str, str], text: str
) -> None:
    response = observatory.request(f"/{archive.add(MONO, **fields)}/", params=query)
    assert message(response, 400) == f"Cannot generate {text}"


def test_a_frame_without_the_required_keys_is_refused(observatory: Installation, archive: ArchiveServer) -> None:
    number = archive.add(MONO)
    del archive.frames[number]["record"]["configuration_type"]
    assert message(observatory.request(f"/{number}/"), 400) == "Cannot generate thumbnail for given frame"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"width": "0"}, "width is '0': it may be a whole number from 1"),
        ({"height": "-1"}, "height is '-1': it may be"),
        ({"width": "abc"}, "width is 'abc': it may be"),
        ({"look": "robust", "width": "4097"}, "from 1 to 4096"),
        ({"look": "robust", "color": "maybe"}, "color is 'maybe': it may be true or false"),
        ({"look": "robust", "quality": "101"}, "quality is '101'"),
        ({"median": "1", "percentile": "nan"}, "percentile is 'nan'"),
        ({"look": "new"}, "look is 'new': it may be lco or robust"),
        ({"stretch": "asinh"}, "stretch belongs to look=robust"),
        ({"label": "a\nb"}, "label is"),
    ],
)
def test_a_bad_parameter_is_named(
    observatory: Installation, archive: ArchiveServer, query: dict[str, str], text: str
) -> None:
    asked = len(archive.requests)
    assert text in message(observatory.request("/1/", params=query), 400)
    assert len(archive.requests) == asked


@pytest.mark.parametrize(("status", "ours"), [(500, 502), (503, 502), (401, 401), (403, 403), (429, 429), (301, 502)])
def test_refusals_of_the_archive_are_passed_on(
    observatory: Installation, archive: ArchiveServer, status: int, ours: int
) -> None:
    number = archive.add(MONO)
    archive.script(f"/frames/{number}/", status=status)
    message(observatory.request(f"/{number}/"), ours)


@pytest.mark.parametrize(("status", "ours"), [(404, 404), (500, 502)])
def test_refusals_of_the_file_server_are_passed_on(
    observatory: Installation, archive: ArchiveServer, status: int, ours: int
) -> None:
    number = archive.add(MONO)
    archive.script(f"/files/{number}", status=status)
    message(observatory.request(f"/{number}/"), ours)


def test_a_frame_without_a_picture_is_reported_and_remembered(
    observatory: Installation, archive: ArchiveServer, tmp_path: Path
) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.ones(3))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "table.fits")
    cut = tmp_path / "cut.fits"
    cut.write_bytes((FRAMES / "wcs_r90_pm.fits").read_bytes()[:400_000])
    for path, reason in ((tmp_path / "table.fits", "holds no picture"), (cut, "cut off")):
        number = archive.add(path)
        for _ in range(2):
            assert reason in message(observatory.request(f"/{number}/"), 422)
        assert archive.count(f"/files/{number}") == 1


def test_prefer_respond_async_is_answered_202(observatory: Installation, archive: ArchiveServer) -> None:
    number = archive.add(MONO)
    response = observatory.request(f"/{number}/", headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    job = observatory.request(response.headers["Location"]).json()
    assert job["image"] is None
    until(lambda: observatory.request(response.headers["Location"]).json()["state"] == "done")
    assert observatory.request(f"/{number}/", headers={"Prefer": "respond-async"}).status_code == 200


def test_prefer_wait_is_named_in_preference_applied(observatory: Installation, archive: ArchiveServer) -> None:
    response = observatory.request(f"/{archive.add(MONO)}/", headers={"Prefer": "wait=20"})
    assert (response.status_code, response.headers["Preference-Applied"]) == (200, "wait=20")


def test_head_answers_what_get_would(observatory: Installation, archive: ArchiveServer) -> None:
    number = archive.add(MONO)
    head = observatory.request(f"/{number}/", "HEAD")
    assert (head.status_code, head.text) == (200, "")
    assert archive.count(f"/files/{number}") == 0, "the JSON needs no picture"
    got = observatory.request(f"/{number}/")
    thumbnail_json(got)
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert archive.count(f"/files/{number}") == 1


def test_head_of_the_picture_waits_for_it(observatory: Installation, archive: ArchiveServer) -> None:
    number = archive.add(MONO)
    head = observatory.request(f"/{number}/", "HEAD", params={"image": "1"})
    assert head.status_code == 302
    assert picture(observatory, head.headers["Location"])
    assert archive.count(f"/files/{number}") == 1


def test_the_robust_look_can_be_requested(observatory: Installation, archive: ArchiveServer) -> None:
    query = {"look": "robust", "stretch": "asinh", "colormap": "viridis", "invert": "true", "label": "x" * 100}
    response = thumbnail_json(observatory.request(f"/{archive.add(MONO)}/", params=query))
    with Image.open(io.BytesIO(picture(observatory, response["url"]))) as image:
        assert image.size == (200, 133)


def test_pages_of_any_origin_may_follow_the_redirect_to_the_slash(observatory: Installation) -> None:
    response = observatory.request("/1")
    assert response.status_code == 308
    assert response.headers["Location"].endswith("/1/")
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_robots_txt_the_icon_and_cors_are_served(observatory: Installation) -> None:
    assert "Disallow: /" in observatory.request("/robots.txt").text
    assert observatory.request("/favicon.ico").status_code == 200
    preflight = observatory.request("/1/", "OPTIONS")
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]


def test_mezzanines_and_the_home_page_work_with_thumbnails_enabled(observatory: Installation) -> None:
    assert observatory.request("/images/maps/valley.tif").headers["Content-Type"] == "image/jpeg"
    assert observatory.request("/", headers={"Accept": "text/html"}).status_code == 200


def test_named_sizes_are_made_in_advance(observatory: Installation, archive: ArchiveServer) -> None:
    number, hidden = archive.add(MONO), archive.add(MONO, public=False)
    command = [MEZCAL, "warm", "--wait", "--data-dir", "data", "--frames", str(number), str(hidden)]
    env = {**os.environ, "ARCHIVE_API_URL": archive.url, "THUMBNAIL_LOOK": "lco"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=observatory.folder)
    *passed, last_line = done.stdout.splitlines()
    assert passed == [f"skipped  {hidden} {size}: frame-missing: Not found" for size in ("small", "medium", "large")]
    assert (done.returncode, last_line) == (1, "3 named: 3 made; 3 skipped")
    assert archive.count(f"/files/{number}") == 1, "one download for all sizes"
    for edge in (200, 600, 1200):
        thumbnail_json(observatory.request(f"/{number}/", params={"width": edge, "height": edge}))
    assert archive.count(f"/files/{number}") == 1


def test_frames_of_an_event_are_made_in_the_named_sizes(observatory: Installation, archive: ArchiveServer) -> None:
    """A worker asks the archive. It asks again for a frame that the archive does not show yet."""
    number, hidden, gone = archive.add(MONO), archive.add(MONO, public=False), archive.add(MONO)
    items: list[Any] = [{"frame": number}, {"frame": str(hidden)}, {"frame": "x"}, {"frame": number}]
    sender = {"Authorization": "Bearer webhook-token"}
    created = {"type": "master.created", "data": items}
    response = observatory.request("/webhooks/standard", "POST", json=created, headers=sender)
    assert response.status_code == 202, response.text
    until(lambda: archive.count(f"/frames/{hidden}/") > 1, 60, "a second request for the hidden frame")
    archive.frames[hidden]["public"] = True
    batch = over(observatory, response)
    counts = {name: count for name, count in batch["counts"].items() if count}
    assert counts.pop("done") + counts.pop("repeated", 0) == 9
    assert counts == {"ignored": 1}
    assert archive.count(f"/files/{number}") == 1, "one download for all sizes"
    deleted = {"type": "master.deleted", "data": {"frame": gone}}
    response = observatory.request("/webhooks/standard", "POST", json=deleted, headers=sender)
    assert over(observatory, response)["counts"]["ignored"] == 1


def over(installation: Installation, response: requests.Response) -> dict[str, Any]:
    """Return the batch of *response* if it is done."""

    def ended() -> dict[str, Any] | None:
        batch: dict[str, Any] = installation.request(response.headers["Location"]).json()
        return batch if batch["state"] == "done" else None

    found = until(ended, 60, "the end of the batch")
    assert found is not None
    return found


@pytest.mark.parametrize(
    "name",
    ["ops", "metrics", "healthz", "readyz", "jobs", "openapi.json", "webhooks", "images", "problems"],
)
def test_the_names_of_mezcals_routes_are_no_basenames(
    observatory: Installation, archive: ArchiveServer, name: str
) -> None:
    before = len(archive.requests)
    response = observatory.request(f"/{name}/", headers={"Authorization": "Bearer api-token"})
    assert response.status_code in {400, 404}
    assert len(archive.requests) == before


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer api-token",
        "bearer  metrics-token",
        "Bearer webhook-token",
        "Token api-token",
        "api-token",
        "Basic cHJvZHVjZXI6cGFzc3dvcmQ=",
        "Basic bWV6Y2FsOmZsb3dlci1wYXNzd29yZA==",
        "Basic YW55Ym9keTphcGktdG9rZW4=",
    ],
)
def test_secrets_of_mezcal_are_never_sent_to_the_archive(
    observatory: Installation, archive: ArchiveServer, authorization: str
) -> None:
    number = archive.add(MONO)
    thumbnail_json(observatory.request(f"/frame{number}/", headers={"Authorization": authorization}))
    thumbnail_json(observatory.request(f"/{number}/", headers={"Authorization": authorization}))
    assert not [given for _, given in archive.requests if given and given.split()[-1] in authorization]
    assert archive.requests[-1][1] is None
