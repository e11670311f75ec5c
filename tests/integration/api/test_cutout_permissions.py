"""No client learns of a frame that it may not see: not from what is cached for others, not by any kind of request.

All lists are asked for before anything is cached, and again when everything is.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.api.test_cutouts import OWN, SKY, archive, observatory, starry
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import requests

    from tests.support.archive_server import ArchiveServer
    from tests.support.installation import Installation

__all__ = ["archive", "observatory", "starry"]  # fixtures

MISSING = 999_999_999  # the id of no frame
THREADS = 4
TRIES = 5
LIST = 250  # items: the archive is asked for a list for a minute at most
PLAIN = {**SKY, "size": "3"}
QUERIES: tuple[dict[str, Any], ...] = (
    *({}, PLAIN, {**PLAIN, "image": "1"}, {**PLAIN, "format": "fits", "image": "1"}),
    *({"hdu": "SCI,1"}, {"x": "9", "y": "9", "size": "5px"}, {**PLAIN, "ra": "20"}, {"color": "true"}),
)
FIELDS: tuple[dict[str, str], ...] = (
    *({"If-None-Match": "*"}, {"If-Modified-Since": "Fri, 01 Jan 2038 00:00:00 GMT"}, {"Range": "bytes=0-9"}),
    *({"Prefer": "respond-async"}, {"Accept": "text/html"}, {"Cache-Control": "only-if-cached"}),
)


@dataclass
class Matrix:
    """Askers with an Authorization each, the first one without any, and frames that some of them may see."""

    installation: Installation
    archive: ArchiveServer
    frames: list[int]
    askers: list[str | None]
    requests: Counter[str] = field(default_factory=Counter)

    def may_see(self, asker: str | None, frame: int) -> bool:
        return self.archive.may_see(frame, asker)

    def ask(self, asker: str | None, target: str, method: str = "GET", **options: Any) -> requests.Response:
        """Send a request from an address of the asker's own."""
        headers = {"X-Forwarded-For": f"198.51.100.{1 + self.askers.index(asker) % 250}", **options.pop("headers", {})}
        headers |= {} if asker is None else {"Authorization": asker}
        self.requests[method] += 1
        return self.installation.request(target, method, headers=headers, **options)

    def states(self, asker: str | None) -> dict[int, dict[str, Any]]:
        """Returns the answers to lists of cutouts of all frames, and of one that does not exist."""
        numbers = [*self.frames, MISSING]
        return {
            each["frame"]: each
            for part in range(0, len(numbers), LIST)
            for each in self._list(asker, numbers[part : part + LIST])
        }

    def _list(self, asker: str | None, numbers: list[int]) -> list[dict[str, Any]]:
        document = {**PLAIN, "cutouts": [{"frame": number} for number in numbers]}
        for _ in range(TRIES):
            response = self.ask(asker, "/cutouts", "POST", json=document)
            assert response.status_code in {200, 202}, response.text
            self.requests["items"] += len(numbers)
            found: list[dict[str, Any]] = response.json()["cutouts"]
            if all(each.get("status") != 504 for each in found):
                break  # on a busy machine, the archive takes longer than it may
        return found


def matrix(installation: Installation, archive: ArchiveServer, file: Path, askers: int, frames: int) -> Matrix:
    """Returns a matrix where a tenth of the frames is public, and every asker may see a tenth of the others."""
    dice = random.Random(1)
    tokens = [f"Token asker-{number}" for number in range(1, askers)]
    numbers = [archive.add(file, public=False, request_id=f"set-{number // 3}") for number in range(frames)]
    for index, number in enumerate(numbers):
        archive.frames[number]["record"]["primary_optical_element"] = ("rp", "V", "B")[index % 3]
        archive.frames[number]["public"] = dice.random() < 0.1
        archive.frames[number]["viewers"] = {token for token in tokens if dice.random() < 0.1}
    return Matrix(installation, archive, numbers, [None, *tokens])


def check_list(given: Matrix, asker: str | None, *, warm: bool) -> None:
    """Each frame that the asker may not see looks as the one that does not exist."""
    states = given.states(asker)
    nothing = {**states[MISSING], "frame": None}
    assert (nothing["state"], nothing["status"]) == ("failed", 404)
    for frame, state in states.items():
        if frame != MISSING and given.may_see(asker, frame):
            assert state["state"] == "ready" if warm else state["state"] in {"queued", "waiting", "ready"}, state
        else:
            assert {**state, "frame": None} == nothing, state


def all_made(given: Matrix) -> bool:
    """Ask for all frames with the right to see them. Returns True if all are cached."""
    document = {**PLAIN, "cutouts": [{"frame": number} for number in given.frames]}
    answer = given.installation.request("/cutouts", "POST", json=document, headers=OWN).json()
    assert not answer["failed"], answer
    return bool(answer["ready"] == len(given.frames))


def shown(response: requests.Response, name: int | str) -> tuple[Any, ...]:
    """Returns what a client sees of a refusal, without the *name* that it has sent itself."""
    body = response.text.replace(f"/{name}/", "/NAME/")
    return response.status_code, body, set(response.headers), response.headers.get("Cache-Control")


def check_requests(given: Matrix, asker: str | None, frames: list[int]) -> None:
    """Every kind of request for a frame that the asker may not see is answered as one for no frame."""
    kinds: list[tuple[str, dict[str, Any], dict[str, str]]] = [("GET", query, {}) for query in QUERIES]
    kinds += [("HEAD", PLAIN, {}), *(("GET", {**PLAIN, "image": "1"}, fields) for fields in FIELDS)]
    for method, query, fields in kinds:
        nothing = shown(given.ask(asker, f"/{MISSING}/", method, params=query, headers=fields), MISSING)
        for frame in frames:
            if given.may_see(asker, frame):
                continue
            for name in (frame, f"frame{frame}"):
                answer = given.ask(asker, f"/{name}/", method, params=query, headers=fields)
                assert shown(answer, name) == nothing, (asker, name, method, query, fields)


def check_composites(given: Matrix, asker: str | None, frames: list[int]) -> None:
    """A composite is refused if one of its frames, or the one in the path, may not be seen."""
    dice = random.Random(str(asker))
    for path in frames:
        chosen = {band: dice.choice(frames) for band in ("red", "green", "blue")}
        allowed = all(given.may_see(asker, frame) for frame in (path, *chosen.values()))
        query = {**PLAIN, **chosen}
        for method in ("GET", "HEAD"):
            assert given.ask(asker, f"/{path}/", method, params=query).status_code == (200 if allowed else 404)
        document = {**query, "cutouts": [{"frame": path}]}
        (state,) = given.ask(asker, "/cutouts", "POST", json=document).json()["cutouts"]
        assert (state["state"] == "failed") != allowed


@pytest.fixture
def asked(observatory: Installation, archive: ArchiveServer, starry: Path, request: pytest.FixtureRequest) -> Matrix:
    askers, frames = request.param
    return matrix(observatory, archive, starry, askers, frames)


FULL = pytest.param((100, 1000), marks=[pytest.mark.slow, pytest.mark.timeout(7200)])


@pytest.mark.parametrize("asked", [(4, 12), FULL], indirect=True)
def test_no_asker_learns_of_a_frame_that_it_may_not_see(asked: Matrix) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda asker: check_list(asked, asker, warm=False), asked.askers))
        until(lambda: all_made(asked), 1200, "all cutouts")
        list(pool.map(lambda asker: check_list(asked, asker, warm=True), asked.askers))
        part = random.Random(2).sample(asked.frames, 3 if len(asked.frames) < 100 else 5)
        list(pool.map(lambda asker: check_requests(asked, asker, part), asked.askers))
        list(pool.map(lambda asker: check_composites(asked, asker, part), asked.askers))
    print(dict(asked.requests))


def test_a_frame_that_nobody_may_see_is_never_fetched(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry, public=False)
    for query in QUERIES:
        for method in ("GET", "HEAD"):
            observatory.request(f"/{number}/", method, params=query)
    observatory.request("/cutouts", "POST", json={**PLAIN, "cutouts": [{"frame": number}]})
    assert archive.count(f"/files/{number}") == 0


def test_the_signature_of_a_picture_opens_nothing_else(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    one, other = (archive.add(starry, public=False) for _ in range(2))
    paths = []
    for number in (one, other):
        url = observatory.request(f"/{number}/", params=PLAIN, headers=OWN).json()["url"]
        paths.append(url.removeprefix(observatory.url).partition("?"))
    (first, _, signature), (second, _, second_signature) = paths
    expires, _, code = signature.partition("&signature=")
    later = f"expires={int(expires.removeprefix('expires=')) + 86400}&signature={code}"
    for query in ("", second_signature, later, f"{expires}&signature=", f"{signature[:-1]}"):
        for fields in ({}, *FIELDS):
            response = observatory.request(f"{first}?{query}", headers={**OWN, **fields})
            assert response.status_code == 403
            assert not {"ETag", "Last-Modified"} & set(response.headers)
    assert observatory.request(f"{second}?{second_signature}").status_code == 200


def test_only_operators_and_who_asked_find_the_job_of_a_frame(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    """The page of a job has the name of the frame's file."""
    number = archive.add(starry, public=False)
    refused = observatory.request(f"/{number}/", params={**PLAIN, "ra": "20"}, headers=OWN)
    assert refused.status_code == 400
    job, name = refused.json()["job"], archive.frames[number]["record"]["filename"]
    client = {"X-Forwarded-For": "192.0.2.9"}
    for path in ("/jobs?state=failed", "/", "/metrics", "/readyz"):
        text = observatory.request(path, headers=client).text
        assert job not in text
        assert name not in text
    assert job in observatory.request("/jobs?state=failed").text, "an operator sees it"
    page = observatory.request(f"/jobs/{job}", headers={**client, "Accept": "text/html"})
    assert name in page.text, "who has its id was told it after the archive was asked"


def test_a_list_shows_nothing_of_a_frame_that_is_denied(
    observatory: Installation, archive: ArchiveServer, starry: Path
) -> None:
    number = archive.add(starry)
    document = {**PLAIN, "cutouts": [{"frame": number}]}
    assert observatory.request(f"/{number}/", params=PLAIN).status_code == 200
    given = {"path": archive.frames[number]["record"]["filename"], "reason": "a test"}
    assert observatory.request("/denials", "POST", json=given).status_code < 300
    until(lambda: observatory.request(f"/{number}/", params=PLAIN).status_code == 451, what="the denial")

    def refused() -> bool:
        (state,) = observatory.request("/cutouts", "POST", json=document).json()["cutouts"]
        return (state["state"], state.get("status"), "url" in state) == ("failed", 451, False)

    until(refused, what="the denial in another process")
