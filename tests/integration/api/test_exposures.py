"""Mosaics of several frames over HTTP: the rights to each frame on every request, one picture, and what is refused."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from tests.integration.api.test_cutout_lists import complete
from tests.integration.api.test_cutouts import OWN, archive, observatory
from tests.integration.api.test_thumbnails import message, thumbnail_json
from tests.support.waiting import until
from tests.unit.convert.fits.cutout.test_exposures import split
from tests.unit.convert.fits.cutout.test_mosaics import exposure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.archive_server import ArchiveServer
    from tests.support.installation import Installation

__all__ = ["archive", "observatory"]  # fixtures

WHOLE = {"width": "600", "height": "600", "format": "png"}
ACROSS = {"ra": "150.004", "dec": "2.001", "size": "60x40", "format": "png"}
OTHER = "Token another-viewer"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exposure of three chips in one file."""
    return exposure(tmp_path_factory.mktemp("exposure"))[0]


@pytest.fixture(scope="module")
def chips(whole: Path) -> list[Path]:
    """The same chips in a file each."""
    return split(whole)


@pytest.fixture(scope="module", autouse=True)
def started(observatory: Installation, archive: ArchiveServer, chips: list[Path]) -> None:
    """The first picture may take as long as a start of the workers."""
    number = archive.add(chips[0])
    until(lambda: observatory.request(f"/{number}/").ok, 300, what="the first picture")


def add(archive: ArchiveServer, chips: Sequence[Path], **fields: Any) -> list[int]:
    return [archive.add(chip, **fields) for chip in chips]


def listed(numbers: Sequence[int]) -> dict[str, str]:
    return {"mosaic": ",".join(map(str, numbers))}


def pixels(installation: Installation, url: str) -> np.ndarray:
    response = installation.request(url.removeprefix(installation.url))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/png")
    with Image.open(io.BytesIO(response.content)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("query", [WHOLE, ACROSS])
def test_the_chips_of_an_exposure_are_one_picture(
    observatory: Installation, archive: ArchiveServer, whole: Path, chips: list[Path], query: dict[str, str]
) -> None:
    first, second, third = add(archive, chips)
    shown = thumbnail_json(observatory.request(f"/{first}/", params={**query, **listed([third, second])}))
    one = thumbnail_json(observatory.request(f"/{archive.add(whole)}/", params={**query, "mosaic": "true"}))
    assert np.array_equal(pixels(observatory, shown["url"]), pixels(observatory, one["url"]))
    assert shown.get("cutout") == one.get("cutout")
    assert "aligned" not in shown
    for path, others in ((second, [first, third, third, second]), (f"frame{third}", [second, first])):
        again = thumbnail_json(observatory.request(f"/{path}/", params={**query, **listed(others)}))
        assert again["url"] == shown["url"]
    assert [archive.count(f"/files/{number}") for number in (first, second, third)] == [1, 1, 1]


@pytest.mark.parametrize("ranges", [False, True])
def test_a_cutout_fetches_the_chips_that_it_shows(
    observatory: Installation, archive: ArchiveServer, tmp_path: Path, ranges: bool
) -> None:
    paths = []
    for number in range(3):
        data = np.random.default_rng(number).normal(100, 5, (400, 600)).astype("f4")
        cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX2": 200.0}
        cards |= {"CRPIX1": 300.0 + 650 * number, "CD1_1": -1e-4, "CD2_2": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0}
        paths.append(tmp_path / f"{number}.fits")
        fits.HDUList([fits.PrimaryHDU(data, fits.Header(cards))]).writeto(paths[-1])
    numbers, size = add(archive, paths), paths[0].stat().st_size
    archive.ranges = ranges
    try:
        query = {"ra": "150", "dec": "2", "size": "40px", **listed(numbers[1:])}
        assert thumbnail_json(observatory.request(f"/{numbers[0]}/", params=query))["cutout"]["covered"] == 1
    finally:
        archive.ranges = False
    assert [archive.count(f"/files/{number}") for number in numbers] == ([2, 1, 1] if ranges else [1, 1, 1])
    sent = [archive.sent[number] for number in numbers]
    if ranges:
        assert sent[0] < size / 2
        assert sent[1:] == [256 * 1024] * 2
    else:
        assert sent == [size] * 3


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("hidden", [0, 1, 2])
def test_every_frame_must_be_allowed_on_every_request(
    observatory: Installation, archive: ArchiveServer, chips: list[Path], hidden: int, warm: bool
) -> None:
    """One frame that the client may not see is answered as one that does not exist, wherever it is in the request."""
    numbers = add(archive, chips)
    archive.frames[numbers[hidden]]["public"] = False
    if warm:
        thumbnail_json(observatory.request(f"/{numbers[0]}/", params={**WHOLE, **listed(numbers[1:])}, headers=OWN))
    before = [archive.count(f"/files/{number}") for number in numbers]
    unknown = [number if number != numbers[hidden] else 999_999 for number in numbers]
    for query in (WHOLE, {**WHOLE, "image": "1"}, {**ACROSS}):
        for method in ("GET", "HEAD"):
            for path in numbers:
                refused = observatory.request(f"/{path}/", method, params={**query, **listed(numbers)})
                nothing = observatory.request(
                    f"/{path if path != numbers[hidden] else 999_999}/", method, params={**query, **listed(unknown)}
                )
                assert refused.status_code == nothing.status_code == 404
                assert {"Location", "ETag"}.isdisjoint(refused.headers)
                assert refused.text.replace(f"/{path}/", "") == nothing.text.replace("/999999/", "").replace(
                    f"/{path}/", ""
                )
    assert [archive.count(f"/files/{number}") for number in numbers] == before
    archive.frames[numbers[hidden]]["viewers"] = {OTHER}
    response = observatory.request(
        f"/{numbers[2]}/", params={**WHOLE, **listed(numbers[:2])}, headers={"Authorization": OTHER}
    )
    assert thumbnail_json(response)["url"]
    assert [archive.count(f"/files/{number}") for number in numbers] == [1, 1, 1]


def test_rights_that_end_hide_a_mosaic_that_is_cached(
    observatory: Installation, archive: ArchiveServer, chips: list[Path]
) -> None:
    first, *others = add(archive, chips)
    asked = {"params": {**WHOLE, **listed(others)}}
    thumbnail_json(observatory.request(f"/{first}/", **asked))
    archive.frames[others[1]]["public"] = False
    assert message(observatory.request(f"/{first}/", **asked), 404) == "Not found"


def test_a_denied_frame_denies_the_mosaic(observatory: Installation, archive: ArchiveServer, chips: list[Path]) -> None:
    first, *others = add(archive, chips)
    asked = {"params": {**WHOLE, **listed(others)}}
    thumbnail_json(observatory.request(f"/{first}/", **asked))
    given = {"path": archive.frames[others[1]]["record"]["filename"], "reason": "a test"}
    assert observatory.request("/denials", "POST", json=given).status_code < 300
    until(lambda: observatory.request(f"/{first}/", **asked).status_code == 451, what="the denial")
    assert observatory.request(f"/{first}/", params={**WHOLE, **listed(others[:1])}).ok


def test_a_chip_that_was_replaced_makes_another_picture(
    observatory: Installation, archive: ArchiveServer, chips: list[Path]
) -> None:
    first, *others = add(archive, chips)
    asked = {"params": {**WHOLE, **listed(others)}}
    before = thumbnail_json(observatory.request(f"/{first}/", **asked))["url"]
    archive.frames[others[0]]["record"]["version_set"] = [{"md5": "newer"}]
    archive.frames[others[0]]["file"] = chips[0]
    after = thumbnail_json(observatory.request(f"/{first}/", **asked))["url"]
    assert before.partition("?")[0] != after.partition("?")[0]
    assert pixels(observatory, before).shape != pixels(observatory, after).shape


def test_urls_that_have_expired_are_asked_for_once_more(
    observatory: Installation, archive: ArchiveServer, chips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = add(archive, chips)
    shown = archive.shown
    stale = iter([{**shown(second), "url": f"{archive.root}/files/{second}?X-Signature=old"}])
    monkeypatch.setattr(
        archive, "shown", lambda wanted: (next(stale, None) if wanted == second else None) or shown(wanted)
    )
    thumbnail_json(observatory.request(f"/{first}/", params={**WHOLE, **listed([second, third])}))
    assert [archive.count(f"/frames/{number}/") for number in (first, second, third)] == [2, 2, 2]


def test_a_chip_without_coordinates_or_of_another_filter_is_named(
    observatory: Installation, archive: ArchiveServer, chips: list[Path], tmp_path: Path
) -> None:
    plain = tmp_path / "plain.fits"
    fits.HDUList([fits.PrimaryHDU(np.ones((50, 60), "f4"))]).writeto(plain)
    first, second = archive.add(chips[0]), archive.add(plain)
    text = message(observatory.request(f"/{first}/", params={**WHOLE, **listed([second])}), 400)
    assert text.startswith(f"frame {second}: the frame has no sky coordinates")
    other = archive.add(chips[1], primary_optical_element="rp")
    text = message(observatory.request(f"/{other}/", params={**WHOLE, **listed([first])}), 400)
    assert text.endswith(f"frame {first} has the filter V, and frame {other} has rp")
    plain.write_bytes(chips[1].read_bytes()[:3000])
    text = message(observatory.request(f"/{first}/", params={**ACROSS, **listed([archive.add(plain)])}), 422)
    assert text.startswith("frame ")


@pytest.mark.parametrize("query", [{"color": "true"}, {"red": "1"}, {"look": "lco"}, {"format": "fits", "x": "1"}])
def test_a_bad_mosaic_is_refused_before_the_archive_is_asked(
    observatory: Installation, archive: ArchiveServer, query: dict[str, str]
) -> None:
    asked = len(archive.requests)
    assert "mosaic" in message(observatory.request("/1/", params={**query, "mosaic": "2,3"}), 400)
    too_many = listed(range(100, 117))
    assert "up to 16 frames" in message(observatory.request("/1/", params=too_many), 400)
    assert len(archive.requests) == asked


def test_lists_have_mosaics_with_the_rights_of_their_client(
    observatory: Installation, archive: ArchiveServer, chips: list[Path]
) -> None:
    first, *others = numbers = add(archive, chips)
    archive.frames[others[1]]["public"] = False
    document = {**ACROSS, "cutouts": [{"frame": first, **listed(others)}, {"frame": first, **listed(others[:1])}]}
    refused, shown = complete(observatory, document).json()["cutouts"]
    assert (refused["state"], refused["status"], shown["state"]) == ("failed", 404, "ready")
    asked = archive.count("/frames/")
    both = complete(observatory, document, **OWN).json()["cutouts"]
    assert [each["state"] for each in both] == ["ready", "ready"]
    assert both[1]["url"] == shown["url"]
    assert (archive.count("/frames/") - asked) % len(numbers) == 0, "each frame once for each request"


def test_a_list_of_too_many_frames_is_refused(observatory: Installation, archive: ArchiveServer) -> None:
    asked = len(archive.requests)
    items = [{"frame": 1, **listed(range(16 * start, 16 * start + 16))} for start in range(300)]
    document = {**ACROSS, "cutouts": items}
    response = observatory.request("/cutouts", "POST", json=document)
    assert response.status_code == 400
    assert "more than 4,000 frames" in response.json()["detail"]
    assert len(archive.requests) == asked
