"""IIPImage behind an nginx that asks mezcal first: real parts, and the configuration that is shipped."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests
from PIL import Image

from tests.integration.conftest import TOKEN
from tests.support.iipimage import needs_iipimage, running_front
from tests.support.installation import ONE_WORKER, SAMPLES, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.iipimage import ImageFront
    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

pytestmark = [pytest.mark.iipimage, needs_iipimage]

VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()  # 1400 x 1000
TILE = "0,0,256,256/256,/0/default.jpg"
WAIT = 5.0  # WAIT_SECONDS
RED, BLUE = (200, 30, 30), (30, 30, 200)
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def mezcal(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    given = {"API_TOKENS": TOKEN, "WAIT_SECONDS": str(WAIT), "ORIGIN_RETRIES": "0", "CLIENT_SHARE": "1"}
    with running_installation(tmp_path_factory.mktemp("mezcal"), repository.url, "--nginx", "always", **given) as up:
        yield up


@pytest.fixture(scope="module")
def front(mezcal: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageFront]:
    with running_front(mezcal, tmp_path_factory.mktemp("front")) as running:
        yield running


def get(front: ImageFront, master: str, rest: str = TILE, **options: object) -> requests.Response:
    return requests.get(f"{front.url}/iiif/{quote(master, safe='')}/{rest}", timeout=60, **options)  # type: ignore[arg-type]


def new_master(repository: OriginServer, body: bytes = VALLEY, **behaviour: object) -> str:
    path = f"books/{uuid4().hex}.tif"
    repository.script(path, body=body, **behaviour)
    return path


def tiff(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "TIFF")
    return file.getvalue()


def is_like(answer: requests.Response, colour: tuple[int, int, int]) -> bool:
    with Image.open(io.BytesIO(answer.content)) as image:
        middle = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(middle, tuple)
    return all(abs(seen - meant) < 12 for seen, meant in zip(middle, colour, strict=True))


def test_tiles_of_a_master_that_nobody_asked_for_wait_for_one_conversion(
    front: ImageFront, repository: OriginServer
) -> None:
    master = new_master(repository, hold_at=1000)
    with ThreadPoolExecutor(4) as clients:
        tiles = [clients.submit(get, front, master, f"{left},0,256,256/256,/0/default.jpg") for left in (0, 256, 512)]
        repository.wait_for_requests(master, 1)
        assert not any(tile.done() for tile in tiles)
        repository.script_of(master).go.set()
        answers = [tile.result() for tile in tiles]
    assert {(answer.status_code, answer.headers["Content-Type"]) for answer in answers} == {(200, "image/jpeg")}
    assert len({answer.content for answer in answers}) == 3
    assert repository.count(master) == 1
    assert get(front, master).content == answers[0].content


def test_info_json_names_the_image_as_it_was_asked_for(front: ImageFront, repository: OriginServer) -> None:
    master = new_master(repository)
    answer = get(front, master, "info.json")
    info = answer.json()
    assert info["@id"] == f"{front.url}/iiif/{quote(master, safe='')}"
    assert (info["width"], info["height"]) == (1400, 1000)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    tile = get(front, master, f"0,0,512,512/{info['tiles'][0]['width']},/0/default.jpg")
    again = get(front, master, headers={"If-Modified-Since": tile.headers["Last-Modified"]})
    assert again.status_code in {200, 304}  # IIPImage 1.1 reads the date with the help of uninitialized memory
    assert get(front, master, headers={"If-None-Match": "*", "Range": "bytes=0-1"}).status_code == 200


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        ({"status": 404, "fails": -1}, 404),
        ({"body": b"no image at all" * 100}, 415),
        ({"body": VALLEY[: len(VALLEY) // 4]}, 422),
        ({"status": 403, "fails": -1}, 502),
        ({"hold_at": 10}, 503),
    ],
)
def test_a_master_without_a_pyramid_has_the_status_that_mezcal_gives_it(
    front: ImageFront, repository: OriginServer, behaviour: dict[str, object], status: int
) -> None:
    master = new_master(repository, **behaviour)  # type: ignore[arg-type]
    answer = get(front, master)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert answer.json()["status"] == status
    repository.script_of(master).go.set()


def test_a_new_version_is_shown_with_its_own_size_and_pixels(
    front: ImageFront, mezcal: Installation, repository: OriginServer
) -> None:
    master = new_master(repository, tiff(600, 400, RED))
    before = get(front, master, "info.json").json()
    red = get(front, master, "full/300,/0/default.jpg")
    assert (before["width"], before["height"]) == (600, 400)
    assert is_like(red, RED)
    repository.script_of(master).body = tiff(400, 800, BLUE)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert mezcal.request(f"/images/{master}", "DELETE", headers=bearer).status_code == 204
    after = until(lambda: get(front, master, "info.json"), what="the new version").json()
    assert (after["width"], after["height"]) == (400, 800)
    blue = get(front, master, "full/200,/0/default.jpg")
    assert is_like(blue, BLUE)
    assert get(front, master, "100,600,256,200/256,/0/default.jpg").status_code == 200


@pytest.mark.parametrize(
    "name",
    ["a b.tif", "é/ü.tif", "a&FIF=b.tif", "a'b(c).tif", "a=b;c,d.tif", "a..b.tif", "a?b#c.tif", "full"],
)
def test_a_name_is_found_whatever_its_letters(front: ImageFront, repository: OriginServer, name: str) -> None:
    path = f"{uuid4().hex}/{name}"
    repository.script(path, body=VALLEY)
    assert get(front, path).status_code == 200
    info = get(front, path, "info.json").json()
    assert info["@id"] == f"{front.url}/iiif/{quote(path, safe='')}"


@pytest.mark.parametrize(
    "target",
    [
        "/iiif/",
        "/iiif/a.tif",
        "/iiif/a.tif/full/full/0",
        "/iiif/books/a.tif/info.json",
        "/iiif/x..%2Fa.tif/info.json",
        "/iiif/x%2e%2E%2fa.tif/info.json",
        "/iiif/a/..%2Fb.tif/info.json",
        "/iiif/a%25b.tif/info.json",
        "/iiif/a%252Fb.tif/info.json",
        "/iiif/a&FIF=b/info.json",
        "/iiif/a.tif/full/full/0/default.jpg&FIF=/etc/passwd&CVT=jpeg",
        "/iiif/a+b.tif/info.json",
        "/iiif/a%2Bb.tif/info.json",
        "/iiif/a%2bb.tif/info.json",
    ],
)
def test_what_iipimage_would_read_in_another_way_is_refused(front: ImageFront, target: str) -> None:
    request = requests.Request("GET", front.url + target).prepare()
    request.url = front.url + target
    with requests.Session() as session:
        answer = session.send(request, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, PROBLEM)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.json()["status"] == 400


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("info.json?page=2", "first page"),
        ("full/256,/0/default.jpg?v=1&page=2", "first page"),
        ("pct:100,0,10,10/256,/0/default.jpg", "outside the image"),
        ("pct%3A0%2C110.5,10,10/256,/0/default.jpg", "outside the image"),
    ],
)
def test_what_iipimage_cannot_show_is_refused_with_the_reason(
    front: ImageFront, repository: OriginServer, rest: str, reason: str
) -> None:
    master = new_master(repository)
    assert get(front, master, "pct:99,0,1,100/256,/0/default.jpg?v=1").status_code == 200
    answer = get(front, master, rest)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, PROBLEM)
    assert reason in answer.json()["detail"]


def test_a_region_outside_the_image_is_not_kept_beyond_max_age(front: ImageFront, repository: OriginServer) -> None:
    """IIPImage 1.1 answers it with a damaged JPEG, or ends; nginx cannot tell the JPEG from a tile."""
    answer = get(front, new_master(repository), "1400,0,256,256/256,/0/default.jpg")
    if front.iipimage_crashed:
        front.start_iipimage()
    kept = {200: "public, max-age=3600", 503: "no-store"}
    assert answer.headers["Cache-Control"] == kept[answer.status_code]


def test_a_host_with_quotes_is_not_written_into_info_json(front: ImageFront, repository: OriginServer) -> None:
    info = get(front, new_master(repository), "info.json", headers={"Host": 'a","x":"'}).json()
    assert info["@id"].startswith("/iiif/books%2F")


def test_a_client_needs_the_token_for_reading(repository: OriginServer, tmp_path: Path) -> None:
    """With READ_TOKENS, mezcal's nginx finds no file by itself: the API names it, or refuses."""
    master = new_master(repository)
    bearer = {"Authorization": "Bearer a-reader"}
    (tmp_path / "mezcal").mkdir()
    (tmp_path / "front").mkdir()
    with (
        running_installation(tmp_path / "mezcal", repository.url, *ONE_WORKER, READ_TOKENS="a-reader") as up,
        running_front(up, tmp_path / "front") as front,
    ):
        refused = get(front, master)
        assert (refused.status_code, refused.headers["Cache-Control"]) == (401, "no-store")
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
        allowed = get(front, master, headers=bearer)
        assert (allowed.status_code, allowed.headers["Cache-Control"].split(",")[0]) == (200, "private")
        assert get(front, master, "info.json", headers=bearer).json()["width"] == 1400
        assert get(front, master).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_reading_is_allowed(front: ImageFront, method: str) -> None:
    answer = requests.request(method, f"{front.url}/iiif/a.tif/info.json", timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_browser_may_send_the_token_from_a_page_of_another_origin(front: ImageFront) -> None:
    asked = {"Origin": "https://viewer.example", "Access-Control-Request-Method": "GET"}
    asked["Access-Control-Request-Headers"] = "authorization"
    answer = requests.options(f"{front.url}/iiif/a.tif/info.json", headers=asked, timeout=10)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "Range"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))


def test_other_addresses_are_refused_with_a_header_for_browsers(front: ImageFront) -> None:
    answer = requests.get(f"{front.url}/elsewhere", timeout=10)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (404, "*")


def test_a_head_says_what_a_get_would(front: ImageFront, repository: OriginServer) -> None:
    master = new_master(repository)
    url = f"{front.url}/iiif/{quote(master, safe='')}/{TILE}"
    head = requests.head(url, timeout=60)
    assert (head.status_code, head.headers["Content-Type"], head.content) == (200, "image/jpeg", b"")


def test_while_iipimage_is_away_clients_are_told_to_try_again(front: ImageFront, repository: OriginServer) -> None:
    master = new_master(repository)
    assert get(front, master).status_code == 200
    front.stop_iipimage()
    away = get(front, master)
    assert (away.status_code, away.headers["Retry-After"], away.headers["Cache-Control"]) == (503, "1", "no-store")
    assert "does not answer" in away.json()["detail"]
    front.start_iipimage()
    assert get(front, master).status_code == 200


def test_iipimage_that_looks_in_another_folder_is_told_from_one_that_is_away(
    front: ImageFront, mezcal: Installation, repository: OriginServer
) -> None:
    """A prefix without its final slash is the likely mistake."""
    master = new_master(repository)
    front.stop_iipimage()
    front.start_iipimage(FILESYSTEM_PREFIX=str(mezcal.settings.cache_dir))
    elsewhere = get(front, master)
    front.stop_iipimage()
    front.start_iipimage()
    assert (elsewhere.status_code, elsewhere.headers["Cache-Control"]) == (503, "no-store")
    assert "cannot read the pyramid" in elsewhere.json()["detail"]
    assert get(front, master).status_code == 200
