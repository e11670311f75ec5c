"""Many cutouts in one request: states, rights for each frame, one download for each frame, and a tar of all."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from astropy.io import fits

from tests.integration.api.test_cutouts import OWN, SKY, archive, observatory, starry
from tests.integration.api.test_thumbnails import picture
from tests.support.installation import SAMPLES, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

    from tests.support.archive_server import ArchiveServer
    from tests.support.installation import Installation

__all__ = ["archive", "observatory", "starry"]  # fixtures


def ask(installation: Installation, document: Any, **headers: str) -> requests.Response:
    return installation.request("/cutouts", "POST", json=document, headers=headers)


def complete(installation: Installation, document: Any, **headers: str) -> requests.Response:
    """Repeat the request until nothing is queued any more."""

    def answered() -> requests.Response | None:
        response = ask(installation, document, **headers)
        assert response.status_code in {200, 202}, response.text
        return response if response.status_code == 200 else None

    found = until(answered, 60, "the end of all cutouts")
    assert found is not None
    return found


def test_many_cutouts_are_made_and_each_frame_is_fetched_once(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    numbers = [archive.add(starry) for _ in range(3)]
    items = [{"frame": number, "x": 50 + step, "y": 60, "size": "20px"} for number in numbers for step in range(12)]
    first = ask(observatory, {"cutouts": items})
    assert first.status_code == 202
    assert first.headers["Retry-After"]
    assert {each["state"] for each in first.json()["cutouts"]} <= {"queued", "ready"}
    done = complete(observatory, {"cutouts": items}).json()
    assert (done["ready"], done["queued"], done["waiting"], done["failed"]) == (36, 0, 0, 0)
    assert [each["frame"] for each in done["cutouts"]] == [item["frame"] for item in items]
    assert len({each["url"] for each in done["cutouts"]}) == 36
    assert done["cutouts"][0]["cutout"]["x"] == 50
    assert picture(observatory, done["cutouts"][-1]["url"])
    downloads = sum(archive.count(f"/files/{number}") for number in numbers)
    assert downloads <= 6, "the positions of a frame share its download"


def test_each_item_has_the_rights_of_its_client(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    hidden, public = archive.add(starry, public=False), archive.add(starry)
    document = {
        **SKY,
        "cutouts": [{"frame": hidden}, {"frame": public}, {"frame": f"frame{hidden}"}, {"frame": 999_999}],
    }
    own = complete(observatory, document, **OWN).json()["cutouts"]
    assert [each["state"] for each in own] == ["ready", "ready", "ready", "failed"]
    for _ in range(2):
        others = complete(observatory, document).json()["cutouts"]
        assert [each["state"] for each in others] == ["failed", "ready", "failed", "failed"]
        assert [each.get("status") for each in others] == [404, None, 404, 404]
        assert "url" not in others[0]


def test_the_archive_is_asked_once_for_each_frame(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry)
    items = [{"frame": number, "x": 10 + step, "y": 10, "size": "5px"} for step in range(50)]
    ask(observatory, {"cutouts": items})
    assert archive.count(f"/frames/{number}/") == 1


def test_the_archive_is_asked_once_for_each_frame_of_composites(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    red, green, blue, *others = (archive.add(starry) for _ in range(13))
    named = {"red": red, "green": green, "blue": blue}
    before = len(archive.requests)
    answer = ask(observatory, {**SKY, **named, "cutouts": [{"frame": number} for number in others]}).json()
    assert answer["failed"] == 0
    assert sum(target.startswith("/frames/") for target, _ in archive.requests[before:]) == 13


def test_the_archive_is_asked_once_for_a_request_also_if_it_has_no_three_frames(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry, request_id="no-rvb")
    items = [{"frame": number, "ra": 150, "dec": 2 + step / 1e5, "size": "5", "color": True} for step in range(20)]
    answer = ask(observatory, {"cutouts": items}).json()
    assert {each["detail"] for each in answer["cutouts"]} == {"RVB frames not found"}
    assert archive.count(f"/frames/{number}/") == 1
    assert archive.count("/frames/?request_id=no-rvb") == 1


@pytest.fixture
def small_share(archive: ArchiveServer, tmp_path: Path) -> Iterator[Installation]:
    """An installation where one client may have few jobs in the queue."""
    given = {"ARCHIVE_API_URL": archive.url, "API_PROCESSES": "1", "WAITERS_MAX": "6"}
    with running_installation(tmp_path, SAMPLES.as_uri(), "--nginx", "never", **given) as up:
        yield up


def test_a_client_with_its_share_of_the_queue_is_told_which_of_its_cutouts_are_queued(
    small_share: Installation, archive: ArchiveServer, starry: Path
) -> None:
    """The first items of the second list are refused by the queue, and the last ones are in it already."""
    items = [{"frame": archive.add(starry), **SKY} for _ in range(12)]
    client = {"X-Forwarded-For": "192.0.2.7"}
    archive.hold.clear()
    try:
        first = ask(small_share, {"cutouts": items}, **client).json()
        again = ask(small_share, {"cutouts": items[::-1]}, **client).json()
    finally:
        archive.hold.set()
    assert first["queued"] > 1
    assert first["waiting"] > 1
    jobs = [{each.get("job") for each in answer["cutouts"]} - {None} for answer in (first, again)]
    assert jobs[0] <= jobs[1], "all that were queued are told again"


def test_what_a_frame_does_not_show_fails_alone(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry)
    document = {"cutouts": [{"frame": number, **SKY}, {"frame": number, **SKY, "dec": 4}]}
    good, bad = complete(observatory, document).json()["cutouts"]
    assert (good["state"], bad["state"], bad["status"]) == ("ready", "failed", 400)
    assert bad["detail"].endswith("arcsec away")


def unpacked(response: requests.Response) -> dict[str, bytes]:
    """Returns the files in a tar or a zip."""
    content = io.BytesIO(response.content)
    if response.headers["Content-Type"] == "application/zip":
        with zipfile.ZipFile(content) as file:
            assert file.testzip() is None
            return {name: file.read(name) for name in file.namelist()}
    with tarfile.open(fileobj=content) as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["x-tar", "zip"])
def test_all_come_in_one_file(observatory: Installation, archive: ArchiveServer, starry: Path, kind: str) -> None:
    number = archive.add(starry, public=False)
    kinds: list[dict[str, Any]] = [{}, {"format": "fits"}, {"format": "png"}, {"ra": 20}]
    document = {**SKY, "cutouts": [{"frame": number, **kind} for kind in kinds]}
    response = complete(observatory, document, Accept=f"application/{kind}", **OWN)
    assert response.headers["Content-Type"] == f"application/{kind}"
    assert response.headers["Content-Disposition"] == f"attachment; filename=cutouts.{kind.removeprefix('x-')}"
    assert response.headers["Cache-Control"] == "private, no-store"
    members = unpacked(response)
    names = list(members)
    assert [name.rpartition(".")[2] for name in names] == ["json", "jpg", "fits", "png"]
    assert names[1].startswith("0000-frame")
    index = json.loads(members["index.json"])
    assert [each["state"] for each in index["cutouts"]] == ["ready", "ready", "ready", "failed"]
    with fits.open(io.BytesIO(members[names[2]]), checksum=True) as hdus:
        assert hdus[1].data.shape == (50, 50)
    assert list(unpacked(complete(observatory, document, Accept=f"application/{kind}"))) == ["index.json"]


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "must be an object with a list"),
        ({"cutouts": []}, "must be an object with a list"),
        ({"cutouts": [{**SKY}]}, "cutouts[0]: frame is missing"),
        ({"cutouts": [{"frame": True, **SKY}]}, "cutouts[0]: frame is missing"),
        ({"cutouts": [{"frame": -1, **SKY}]}, "cutouts[0]: frame is missing"),
        ({"cutouts": [{"frame": "a\u0000", **SKY}]}, "cutouts[0]: frame is missing"),
        ({"cutouts": [{"frame": 1, **SKY}, {"frame": 1}]}, "cutouts[1]: the position is missing"),
        ({"cutouts": [{"frame": 1, "siz": 5}]}, "did you mean size?"),
        ({"cutouts": [{"frame": 1, **SKY, "vmin": [1]}]}, "cutouts[0]: each parameter must be a text"),
        ({"cutouts": [1]}, "cutouts[0]: frame is missing"),
        ({"cutouts": [{"frame": 1, **SKY}] * 1001}, "it may have 1,000"),
    ],
)
def test_a_bad_list_is_refused_with_the_number_of_the_item(
    observatory: Installation, archive: ArchiveServer, document: Any, text: str
) -> None:
    asked = len(archive.requests)
    response = ask(observatory, document)
    assert response.status_code == 400
    assert text in response.json()["detail"]
    assert response.json()["advice"].startswith("Correct what the detail names: a parameter")
    assert len(archive.requests) == asked


def test_pages_of_any_origin_may_ask(observatory: Installation) -> None:
    preflight = observatory.request("/cutouts", "OPTIONS")
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in preflight.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("path", ["/cutouts/", "/cutouts"])
def test_the_route_is_no_frame(observatory: Installation, archive: ArchiveServer, path: str) -> None:
    before = len(archive.requests)
    assert observatory.request(path).status_code in {308, 404, 405}
    assert len(archive.requests) == before


NUMBERS = (
    *("nan", "-inf", "1e999", "9" * 5000, "0." + "0" * 300 + "1", "-0", "360", "-0.0000000000000001", "90.0000000001"),
    *(
        "%2B02:00:00",
        "+02:00:00",
        "24:00:00",
        "12:34:56.7%00",
        "%FF%FE",
        "%D9%A1",
        "1%2C5",
        "1;2",
        "%20",
        "0x1p3",
        "''",
    ),
)
SIZES = (
    "0",
    "-1",
    "nan",
    "1e-9",
    "9e99deg",
    "65535px",
    "1x648000",
    "0.0010",
    "1px1px",
    "%CE%BCas",
    "30%2B",
    "x",
    "5" * 4000,
)


def test_whatever_is_written_as_a_position_is_answered(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    """By HEAD, which checks all that GET checks and makes no picture."""
    number = archive.add(starry)
    queries = [f"ra={value}&dec=2&size=5" for value in NUMBERS]
    queries += [f"ra=150&dec={value}&size=5" for value in NUMBERS]
    queries += [f"x={value}&y=3&size=5px" for value in NUMBERS]
    queries += [f"ra=150&dec=2&size={value}" for value in SIZES]
    queries += ["ra=150&ra=nan&dec=2&size=5", "ra[]=1&dec[]=2&size=5", "ra=150&dec=2&size=5&zoom=1e400&vmin=-1e400"]
    for query in queries:
        assert observatory.request(f"/{number}/?{query}", "HEAD").status_code in {200, 400}, query
    assert archive.count(f"/files/{number}") == 0


def listed(frame: str = "1", ra: str = "150", name: str = '"compass"') -> str:
    """Returns a list with one item, whose frame, position and name of a parameter are JSON as it is sent."""
    return f'{{"cutouts": [{{"frame": {frame}, "ra": {ra}, "dec": 2, "size": 3, {name}: 1}}]}}'


SURROGATE = '"\\ud800"'
BODIES = (
    *(listed(ra=value) for value in ("NaN", "-Infinity", "1e999", "9" * 5000, "true", SURROGATE)),
    *(listed(name=name) for name in (SURROGATE, '"size "', '"RA"', '"label"')),
    *(listed(frame=frame) for frame in (SURROGATE, "1e3", "9" * 40, "{}", "-0", '".."')),
    *('{"cutouts": [null]}', '{"cutouts": 5}', "[" * 100_000, '{"a":' * 50_000, "\ufeff{}", "", "nul"),
    '{"cutouts": [' + "1," * 400_000 + "1]}",
)


def test_whatever_is_sent_as_a_list_is_answered(observatory: Installation) -> None:
    for body in BODIES:
        kind = {"Content-Type": "application/json"}
        response = observatory.request("/cutouts", "POST", data=body.encode(), headers=kind)
        assert response.status_code in {200, 202, 400}, (body[:200], response.status_code, response.text[:500])
