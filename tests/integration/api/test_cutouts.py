"""Cutouts over HTTP: the rights of each client on every request, one download, and what is refused."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from tests.integration.api.test_thumbnails import message, picture, thumbnail_json
from tests.support.archive_server import OWNER, ArchiveServer
from tests.support.installation import SAMPLES, running_installation
from tests.support.waiting import until
from tests.unit.convert.fits.cutout.frames import SIDE, add_stars, header, sky, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.installation import Installation

OWN = {"Authorization": OWNER}
SKY = {"ra": "10:00:00", "dec": "+02:00:00", "size": "20arcsec"}


@pytest.fixture(scope="module")
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


@pytest.fixture(scope="module")
def observatory(archive: ArchiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running installation whose thumbnails look as thumbnail-service's."""
    given = {"ARCHIVE_API_URL": archive.url, "THUMBNAIL_LOOK": "lco", "ORIGIN_RETRIES": "0", "BREAKER_FAILURES": "1000"}
    with running_installation(tmp_path_factory.mktemp("observatory"), SAMPLES.as_uri(), **given) as up:
        yield up


@pytest.fixture(scope="module")
def starry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame with a star at 150, 2."""
    pixels, cards = sky(), header()
    add_stars(pixels, cards, [(0, 0)])
    return write(tmp_path_factory.mktemp("frames") / "starry.fits.fz", pixels, cards, quantize_level=16)


def test_a_cutout_by_position_shows_the_position(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry)
    shown = thumbnail_json(observatory.request(f"/{number}/", params=SKY))
    assert shown["propid"] == "PROPOSAL-1"
    assert shown["cutout"] == {
        "section": f"[{SIDE // 2 - 21}:{SIDE // 2 + 28},{SIDE // 2 - 30}:{SIDE // 2 + 19}]",
        "x": SIDE / 2 + 3.3,
        "y": SIDE / 2 - 5.1,
        "covered": 1.0,
        "partial": False,
    }
    with Image.open(io.BytesIO(picture(observatory, shown["url"]))) as image:
        assert image.size == (50, 50)
        assert image.convert("L").getpixel((25, 25)) > 200  # type: ignore[operator]
        assert image.convert("L").getpixel((5, 5)) < 200  # type: ignore[operator]
    assert thumbnail_json(observatory.request(f"/frame{number}/", params=SKY)) == shown
    assert archive.count(f"/files/{number}") == 1


def test_equal_positions_share_one_cutout(observatory: Installation, archive: ArchiveServer, starry: Path) -> None:
    number = archive.add(starry)
    first = thumbnail_json(observatory.request(f"/{number}/", params=SKY))
    degrees = {"ra": "150.0", "dec": "2", "size": "20x20", "unknown": "x"}
    assert thumbnail_json(observatory.request(f"/{number}/", params=degrees)) == first
    assert archive.count(f"/files/{number}") == 1


def test_a_part_outside_is_told(observatory: Installation, archive: ArchiveServer, starry: Path) -> None:
    shown = thumbnail_json(observatory.request(f"/{archive.add(starry)}/", params={"x": 1, "y": 1, "size": "100px"}))
    assert shown["cutout"]["partial"]
    assert shown["cutout"]["covered"] == 0.25


def test_a_position_outside_is_400_with_its_distance_and_remembered(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry)
    for _ in range(2):
        text = message(observatory.request(f"/{number}/", params={**SKY, "dec": "3"}), 400)
        assert "the frame does not show 150, 3: it is 3," in text
        assert text.endswith("arcsec away")
    assert archive.count(f"/files/{number}") == 1


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("query", [SKY, {**SKY, "image": "1"}, {"x": "9", "y": "9", "size": "12px"}])
def test_the_archive_decides_on_every_request(
    observatory: Installation, archive: ArchiveServer, starry: Path, query: dict[str, str], warm: bool
) -> None:
    number = archive.add(starry, public=False)
    if warm:
        assert observatory.request(f"/{number}/", params=query, headers=OWN).ok
    for method in ("GET", "HEAD"):
        for name in (number, f"frame{number}"):
            response = observatory.request(f"/{name}/", method, params=query)
            assert response.status_code == 404
            assert "url" not in response.text.replace("curl", "")
            assert "Location" not in response.headers
    assert observatory.request(f"/{number}/", params=query, headers=OWN).status_code in {200, 302}
    assert archive.count(f"/files/{number}") == 1


def test_rights_that_are_taken_away_end_at_once(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry)
    thumbnail_json(observatory.request(f"/{number}/", params=SKY))
    archive.frames[number]["public"] = False
    assert message(observatory.request(f"/{number}/", params=SKY), 404) == "Not found"


def test_a_composite_cutout_needs_access_to_all_of_its_frames(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    bands = ("rp", "V", "B")
    numbers = [archive.add(starry, request_id="c1", primary_optical_element=band) for band in bands]
    query = {**SKY, "color": "true"}
    shown = thumbnail_json(observatory.request(f"/{numbers[1]}/", params=query))
    assert (shown["aligned"], shown["cutout"]["covered"]) == ("wcs", 1.0)
    archive.frames[numbers[0]]["public"] = False
    assert message(observatory.request(f"/{numbers[1]}/", params=query), 404) == "RVB frames not found"


def test_the_signed_url_of_one_cutout_opens_no_other(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry)
    one, other = (
        thumbnail_json(observatory.request(f"/{number}/", params={**SKY, "size": size}))["url"] for size in "78"
    )
    assert picture(observatory, one) != picture(observatory, other)
    path, _, signature = one.removeprefix(observatory.url).partition("?")
    mixed = other.removeprefix(observatory.url).partition("?")[0]
    assert message(observatory.request(f"{mixed}?{signature}"), 403)
    assert message(observatory.request(path), 403)


def test_head_of_a_cutout_makes_nothing(observatory: Installation, archive: ArchiveServer, starry: Path) -> None:
    number = archive.add(starry)
    head = observatory.request(f"/{number}/", "HEAD", params=SKY)
    assert (head.status_code, head.text) == (200, "")
    assert archive.count(f"/files/{number}") == 0
    thumbnail_json(observatory.request(f"/{number}/", params=SKY))
    again = observatory.request(f"/{number}/", "HEAD", params=SKY)
    assert int(again.headers["Content-Length"]) == len(observatory.request(f"/{number}/", params=SKY).content)


def test_forty_clients_share_one_download(observatory: Installation, archive: ArchiveServer, starry: Path) -> None:
    number = archive.add(starry)
    archive.hold.clear()
    with ThreadPoolExecutor(40) as pool:
        asking = [pool.submit(observatory.request, f"/{number}/", params=SKY) for _ in range(40)]
        until(lambda: archive.count(f"/frames/{number}/") == 40, what="forty requests")
        archive.hold.set()
        urls = {thumbnail_json(one.result())["url"] for one in asking}
    assert len(urls) == 1
    assert archive.count(f"/files/{number}") == 1


def test_all_that_is_made_of_a_frame_at_once_shares_one_download(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    """Twenty positions, a thumbnail and a composite; the server sends no ranges."""
    number, green, blue = (archive.add(starry) for _ in range(3))
    asked: list[dict[str, Any]] = [{"x": 20 + place, "y": 20, "size": "9px"} for place in range(20)]
    asked += [{}, {**SKY, "red": number, "green": green, "blue": blue}]
    archive.hold.clear()
    with ThreadPoolExecutor(len(asked)) as pool:
        asking = [pool.submit(observatory.request, f"/{number}/", params=query) for query in asked]
        until(lambda: archive.count(f"/frames/{number}/") >= len(asked), what="all requests")
        archive.hold.set()
        urls = {thumbnail_json(one.result())["url"] for one in asking}
    assert len(urls) == len(asked)
    assert [archive.count(f"/files/{frame}") for frame in (number, green, blue)] == [1, 1, 1]


def test_what_is_made_of_a_frame_one_after_the_other_shares_one_download(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number, other = archive.add(starry, public=False), archive.add(starry)
    composite = {**SKY, "red": number, "green": number, "blue": other}
    for query in (SKY, {**SKY, "size": "21"}, {**SKY, "format": "fits"}, {}, {"width": "50"}, composite):
        thumbnail_json(observatory.request(f"/{number}/", params=query, headers=OWN))
    assert message(observatory.request(f"/{number}/", params={**SKY, "size": "22"}), 404) == "Not found"
    assert [archive.count(f"/files/{frame}") for frame in (number, other)] == [1, 1]
    shared = [line for line in observatory.journal.read_text().splitlines() if "shared_download" in line]
    assert sum(f"frame{number}-" in line for line in shared) == 4, "the composite's other frame was downloaded"


def test_a_frame_that_was_replaced_is_downloaded_again(
    observatory: Installation, archive: ArchiveServer, starry: Path, tmp_path: Path
) -> None:
    number = archive.add(starry)
    before = picture(observatory, thumbnail_json(observatory.request(f"/{number}/", params=SKY))["url"])
    archive.frames[number]["file"] = write(tmp_path / "other.fits.fz", sky(), header(), quantize_level=16)
    archive.frames[number]["record"]["version_set"] = [{"md5": "another"}]
    after = picture(observatory, thumbnail_json(observatory.request(f"/{number}/", params=SKY))["url"])
    assert after != before, "the star is gone"
    assert archive.count(f"/files/{number}") == 2


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"dec": "2"}, "dec is given without ra"),
        ({"siz": "2"}, "'siz' is no parameter: did you mean size?"),
        ({**SKY, "size": "nan"}, "size is 'nan'"),
        ({**SKY, "ra": "inf"}, "ra is 'inf'"),
        ({**SKY, "dec": "91"}, "dec is '91': it may be degrees from -90 to 90"),
        ({**SKY, "size": "1e9"}, "size is '1e9'"),
        ({**SKY, "width": "4097"}, "width is '4097'"),
        ({**SKY, "look": "lco"}, "belongs to look=robust"),
    ],
)
def test_a_bad_cutout_is_refused_before_the_archive_is_asked(
    observatory: Installation, archive: ArchiveServer, query: dict[str, Any], text: str
) -> None:
    asked = len(archive.requests)
    assert text in message(observatory.request("/1/", params=query), 400)
    assert len(archive.requests) == asked


@pytest.mark.parametrize("size", ["2deg", "60000px"])
def test_a_cutout_far_larger_than_its_frame_is_refused(
    observatory: Installation, archive: ArchiveServer, starry: Path, size: str
) -> None:
    assert "at most twice" in message(
        observatory.request(f"/{archive.add(starry)}/", params={**SKY, "size": size}), 400
    )


def test_only_the_parts_of_a_large_frame_are_fetched(
    observatory: Installation, archive: ArchiveServer, tmp_path: Path
) -> None:
    """256 pixels of a compressed frame of 4096 x 4096: at most 2 MB."""
    pixels = np.random.default_rng(1).normal(500, 12, (4096, 4096)).astype("f4")
    frame = write(tmp_path / "large.fits.fz", pixels, header(), quantize_level=16)
    number = archive.add(frame)
    archive.ranges = True
    try:
        query = {"x": "2000", "y": "3000", "size": "256px"}
        shown = thumbnail_json(observatory.request(f"/{number}/", params=query))
    finally:
        archive.ranges = False
    with Image.open(io.BytesIO(picture(observatory, shown["url"]))) as image:
        assert image.size == (256, 256)
    assert archive.sent[number] < 2_000_000 < frame.stat().st_size
    assert archive.count(f"/files/{number}") == 2
    assert all(who is None for target, who in archive.requests if target.startswith("/files/"))


@pytest.mark.parametrize(
    ("name", "kind", "media_type"),
    [("png", "PNG", "image/png"), ("webp", "WEBP", "image/webp"), ("fits", None, "application/fits")],
)
def test_each_format_has_its_media_type(
    observatory: Installation, archive: ArchiveServer, starry: Path, name: str, kind: str | None, media_type: str
) -> None:
    number = archive.add(starry, public=False)
    query = {**SKY, "format": name}
    shown = thumbnail_json(observatory.request(f"/{number}/", params=query, headers=OWN))
    assert shown["cutout"]["covered"] == 1
    path = shown["url"].removeprefix(observatory.url)
    assert path.partition("?")[0].endswith(f".{name}")
    response = observatory.request(path)
    assert (response.status_code, response.headers["Content-Type"]) == (200, media_type)
    assert observatory.request(path, "HEAD").headers["ETag"] == response.headers["ETag"]
    part = observatory.request(path, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, response.content[:10])
    if kind is None:
        with fits.open(io.BytesIO(response.content), checksum=True) as hdus:
            assert hdus[1].data.shape == (50, 50)
    else:
        with Image.open(io.BytesIO(response.content)) as image:
            assert (image.format, image.size) == (kind, (50, 50))
    assert observatory.request(f"/{number}/", params=query).status_code == 404, "cached, but not for others"
    assert thumbnail_json(observatory.request(f"/{number}/", params=query, headers=OWN)) == shown
    assert archive.count(f"/files/{number}") == 1
    other = path.replace(f".{name}?", ".jpg?")
    assert observatory.request(other).status_code == 404


def test_whole_frames_have_formats_in_the_look_of_thumbnail_service(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    shown = thumbnail_json(observatory.request(f"/{archive.add(starry)}/", params={"format": "png"}))
    assert "cutout" not in shown
    response = observatory.request(shown["url"].removeprefix(observatory.url))
    with Image.open(io.BytesIO(response.content)) as image:
        assert (image.format, image.size) == ("PNG", (200, 200))


def test_a_composite_of_three_named_frames_needs_access_to_each(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    red, green, blue = (archive.add(starry) for _ in range(3))
    query = {**SKY, "red": red, "green": green, "blue": blue}
    shown = thumbnail_json(observatory.request(f"/{red}/", params=query))
    assert (shown["aligned"], shown["cutout"]["covered"]) == ("wcs", 1.0)
    other = thumbnail_json(observatory.request(f"/{red}/", params={**query, "red": blue, "blue": red}))
    assert other["url"] != shown["url"]
    archive.frames[blue]["public"] = False
    assert message(observatory.request(f"/{red}/", params=query), 404) == "Not found"
    assert thumbnail_json(observatory.request(f"/{red}/", params=query, headers=OWN)) == shown
    document = {"cutouts": [{"frame": red, **query}]}
    (refused,) = observatory.request("/cutouts", "POST", json=document).json()["cutouts"]
    assert (refused["state"], refused["status"]) == ("failed", 404)
    (seen,) = observatory.request("/cutouts", "POST", json=document, headers=OWN).json()["cutouts"]
    assert seen["url"] == shown["url"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"red": "1", "green": "2"}, "blue is missing"),
        ({"red": "1", "green": "2", "blue": "x"}, "blue is 'x': it may be the id of a frame"),
        ({"red": "1", "green": "2", "blue": "-3"}, "blue is '-3'"),
        ({"red": "1", "green": "2", "blue": "9" * 40}, "blue is"),
        ({"red": "1", "green": "2", "blue": "3", "x": "1", "y": "1", "size": "9px"}, "by ra and dec"),
        ({"grean": "2"}, "did you mean green?"),
    ],
)
def test_the_names_of_three_frames_are_checked(
    observatory: Installation, archive: ArchiveServer, query: dict[str, str], text: str
) -> None:
    asked = len(archive.requests)
    assert text in message(observatory.request("/1/", params=query), 400)
    assert len(archive.requests) == asked


@pytest.mark.parametrize("query", [{"format": "json"}, {"x": "1607"}, {"compass": "false"}])
def test_what_thumbnail_service_ignored_and_asks_for_nothing_changes_nothing(
    observatory: Installation, archive: ArchiveServer, starry: Path, query: dict[str, str]
) -> None:
    number = archive.add(starry)
    plain = thumbnail_json(observatory.request(f"/{number}/"))
    assert thumbnail_json(observatory.request(f"/{number}/", params=query)) == plain


def test_a_wrong_parameter_of_a_frame_is_not_blamed_on_an_address(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    answer = observatory.request(f"/{archive.add(starry)}/", params={"radius": "5"})
    assert answer.status_code == 400
    assert answer.json()["advice"].startswith("Correct what the detail names: a parameter")
    assert "the whole side, twice the radius" in answer.json()["detail"]
