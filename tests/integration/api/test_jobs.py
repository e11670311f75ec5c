"""Jobs over HTTP: for programs that do not want to wait, and for people who want to see the progress."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import SAMPLES
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer, Script

VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()
ASYNC = {"Prefer": "respond-async"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def held(repository: OriginServer, master: str) -> Iterator[Script]:
    """The origin sends half of the master and holds the rest until the test releases it."""
    script = repository.script(master, body=VALLEY, hold_at=len(VALLEY) // 2)
    yield script
    script.go.set()


def test_a_job_is_followed_from_its_first_byte_to_its_image(
    installation: Installation, held: Script, master: str
) -> None:
    accepted = installation.ask(master, headers=ASYNC)
    assert accepted.status_code == 202
    assert accepted.headers["Preference-Applied"] == "respond-async"
    assert "no-store" in accepted.headers["Cache-Control"]
    place = accepted.headers["Location"]
    job = until(lambda: progressed(installation, place, "running", arrived=len(VALLEY) // 2), what="half of the master")
    assert job["progress"]["bytes_total"] == len(VALLEY)
    assert 0 < job["done"] < 1
    assert job["links"]["self"] == place
    held.go.set()
    until(lambda: installation.request(place).json()["state"] == "done", what="the end of the job")
    assert installation.request(job["links"]["image"]).headers["Content-Type"] == "image/jpeg"


def progressed(installation: Installation, place: str, state: str, arrived: int) -> dict:  # type: ignore[type-arg]
    job = installation.request(place).json()
    there = job["state"] == state and job["progress"] and job["progress"]["bytes"] >= arrived
    return job if there else {}


def test_polling_an_unchanged_job_transfers_no_body(installation: Installation, held: Script, master: str) -> None:
    place = installation.ask(master, headers=ASYNC).headers["Location"]
    until(lambda: progressed(installation, place, "running", arrived=len(VALLEY) // 2))

    def unchanged() -> bool:
        tag = installation.request(place).headers["ETag"]
        return installation.request(place, headers={"If-None-Match": tag}).status_code == 304

    until(unchanged, what="an unchanged job")


def test_a_queued_job_knows_its_place(installation: Installation, repository: OriginServer, master: str) -> None:
    """Two jobs are queued while both pool processes are busy."""
    scripts = [repository.script(f"{n}-{master}", body=VALLEY, hold_at=1000) for n in range(2)]
    places = []
    for number in range(4):
        path = f"{number}-{master}"
        repository.script_of(path).body = VALLEY
        places.append(installation.ask(path, headers=ASYNC).headers["Location"])
        state = "running" if number < 2 else "queued"
        until(lambda: installation.request(places[-1]).json()["state"] == state, what=state)  # noqa: B023
    waiting = [installation.request(place).json() for place in places[2:]]
    assert [job["place"] for job in waiting] == [1, 2]
    for script in scripts:
        script.go.set()
    until(lambda: all(installation.request(place).json()["state"] == "done" for place in places), what="all images")


def test_a_client_chooses_how_long_it_waits(installation: Installation, held: Script, master: str) -> None:
    response = installation.ask(master, headers={"Prefer": "wait=0"})
    assert response.status_code == 503
    assert response.headers["Preference-Applied"] == "wait=0"
    assert response.headers["Retry-After"].isdigit()
    installation.ask("maps/valley.tif")
    assert "Preference-Applied" not in installation.ask("maps/valley.tif", headers={"Prefer": "wait=5"}).headers


def test_a_person_sees_progress_and_then_the_image(installation: Installation, held: Script, master: str) -> None:
    page = installation.ask(master, headers=BROWSER)
    assert page.status_code == 503
    assert page.elapsed.total_seconds() < 10
    job = re.search(r'<progress data-job="([^"]+)"', page.text)
    assert job
    assert installation.request(job[1]).json()["state"] in {"queued", "running"}
    assert re.search(r'<noscript>\s*<meta http-equiv="refresh"', page.text)
    script = page.text.partition("<script>")[2].partition("</script>")[0]
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in page.headers["Content-Security-Policy"]
    held.go.set()
    until(lambda: installation.stored(master), what="the image")
    assert installation.ask(master, headers=BROWSER).headers["Content-Type"] == "image/jpeg"


def test_an_img_element_waits_as_programs_do(installation: Installation, held: Script, master: str) -> None:
    """Only a page can show progress; in an <img> element it would be a broken picture."""
    until(lambda: installation.ask(master, headers=ASYNC).status_code == 202)
    held.go.set()
    response = installation.ask(master, headers={"Accept": "image/avif,image/*,*/*;q=0.8", "Sec-Fetch-Dest": "image"})
    assert response.headers["Content-Type"] == "image/jpeg"
