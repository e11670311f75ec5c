"""Several derivatives of one master that are wanted at the same time cost the repository one download."""

from __future__ import annotations

import io
import os
import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from mezcal.jobs import Jobs, JobState
from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.settings import load
from mezcal.store import open_store
from tests import DATA
from tests.support.archive_server import ArchiveServer
from tests.support.installation import running_installation
from tests.support.proc import parent_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    import requests

    from tests.faults.support.environment import FaultEnvironment
    from tests.support.origin_server import OriginServer, Script

MONO = DATA / "fits" / "mono_f32_rice.fits.fz"
PAGES = 6
UNFINISHED = ("interactive", "bulk", "running", "delayed")


def book(damaged: int | None = None) -> bytes:
    """Returns a TIFF with `PAGES` pages in different greys; the data of the page *damaged* cannot be decoded."""
    out, pages = io.BytesIO(), [np.full((200, 200), 30 * number, dtype=np.uint8) for number in range(1, PAGES + 1)]
    with tifffile.TiffWriter(out) as writer:
        for page in pages:
            writer.write(page, photometric="minisblack", compression="zlib", rowsperstrip=200)
    data = bytearray(out.getvalue())
    if damaged is not None:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            strip = file.pages[damaged - 1].dataoffsets[0]
        data[strip : strip + 20] = bytes(20)
    return bytes(data)


def ask_for_all_pages(environment: FaultEnvironment, path: str) -> list[Future[requests.Response]]:
    """Request all pages in the background, and wait until their jobs are queued or running."""
    answers = [environment.request_in_background(f"{path}?page={page}") for page in range(1, PAGES + 1)]
    keys = [Mezzanine.parse(path, page).key for page in range(1, PAGES + 1)]
    until(lambda: all(environment.table.states(keys)), what="the jobs of all pages")
    return answers


def held_book(environment: FaultEnvironment, damaged: int | None = None, **script: object) -> tuple[str, Script]:
    """Returns a master whose download stops until `go` is set."""
    return environment.master(book(damaged), hold_at=300, **script)


def downloads(environment: FaultEnvironment, path: str) -> int:
    return sum(seen.method == "GET" for seen in environment.repository.seen(path))


def test_all_pages_of_a_master_that_clients_wait_for_come_from_one_download(environment: FaultEnvironment) -> None:
    path, script = held_book(environment)
    answers = ask_for_all_pages(environment, path)
    environment.repository.wait_for_requests(path, 1)
    script.go.set()
    results = [answer.result() for answer in answers]
    assert [result.status_code for result in results] == [200] * PAGES
    assert len({result.content for result in results}) == PAGES, "each is its own page"
    assert downloads(environment, path) == 1
    environment.assert_clean()


def test_all_profiles_of_a_master_come_from_one_download(environment: FaultEnvironment) -> None:
    path, script = held_book(environment)
    ask = environment.installation.request
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(ask, target) for target in (f"/images/{path}", f"/derivatives/pyramid/{path}.tif")]
        recipe = Mezzanine.parse(path)
        keys = [recipe.key, recipe.in_profile(PYRAMID).key]
        until(lambda: all(environment.table.states(keys)), what="both jobs")
        environment.repository.wait_for_requests(path, 1)
        script.go.set()
        assert [answer.result().headers["Content-Type"] for answer in answers] == ["image/jpeg", "image/tiff"]
    assert downloads(environment, path) == 1
    environment.assert_clean()


def test_all_pages_of_a_master_in_bulk_come_from_one_download(environment: FaultEnvironment) -> None:
    path, script = held_book(environment)
    recipes = [Mezzanine.parse(path, page) for page in range(1, PAGES + 1)]
    environment.jobs().spread(recipes)
    environment.repository.wait_for_requests(path, 1)
    until(lambda: all(environment.table.states([recipe.key for recipe in recipes])), what="the jobs of all pages")
    script.go.set()
    until(lambda: set(environment.table.states([recipe.key for recipe in recipes])) == {JobState.DONE}, 20, "all pages")
    assert downloads(environment, path) == 1
    environment.assert_clean()


def test_a_page_that_cannot_be_decoded_does_not_cost_the_others_a_download(environment: FaultEnvironment) -> None:
    path, script = held_book(environment, damaged=1)
    first = environment.request_in_background(f"{path}?page=1")
    environment.repository.wait_for_requests(path, 1)
    answers = ask_for_all_pages(environment, path)
    script.go.set()
    assert [answer.result().status_code for answer in answers] == [422] + [200] * (PAGES - 1)
    assert first.result().status_code == 422
    assert downloads(environment, path) == 1
    environment.assert_clean()


def test_a_process_that_is_killed_costs_one_more_download(environment: FaultEnvironment) -> None:
    path, script = held_book(environment)
    answers = ask_for_all_pages(environment, path)
    environment.repository.wait_for_requests(path, 1)
    record = until(lambda: running(environment, path), what="the running job")
    assert record is not None
    environment.kill(int(record.rpartition(":")[2]))
    environment.repository.wait_for_requests(path, 2)
    script.go.set()
    assert [answer.result().status_code for answer in answers] == [200] * PAGES
    assert downloads(environment, path) == 2
    environment.assert_clean()


def running(environment: FaultEnvironment, path: str) -> str | None:
    """Returns the worker that runs a job of *path*."""
    records = environment.table.records([Mezzanine.parse(path, page).key for page in range(1, PAGES + 1)])
    return next((record.worker for record in records if record.state is JobState.RUNNING), None)


def test_workers_that_are_killed_cost_two_more_downloads_at_most(environment: FaultEnvironment) -> None:
    """The other pages may be made before the lease of the first one has run out."""
    path, script = held_book(environment)
    answers = ask_for_all_pages(environment, path)
    environment.repository.wait_for_requests(path, 1)
    for worker in environment.workers():
        environment.kill(worker)
    environment.repository.wait_for_requests(path, 2)
    script.go.set()
    assert [answer.result().status_code for answer in answers] == [200] * PAGES
    assert 2 <= downloads(environment, path) <= 3
    environment.assert_clean()


def test_a_worker_that_stops_leaves_the_other_pages_to_another(environment: FaultEnvironment) -> None:
    path, script = held_book(environment)
    answers = ask_for_all_pages(environment, path)
    environment.repository.wait_for_requests(path, 1)
    record = until(lambda: running(environment, path), what="the running job")
    assert record is not None
    before = environment.shutdowns()
    os.kill(parent_of(int(record.rpartition(":")[2])), signal.SIGTERM)
    until(lambda: environment.shutdowns() > before, what="the shutdown")
    script.go.set()
    assert [answer.result().status_code for answer in answers] == [200] * PAGES
    assert downloads(environment, path) == 2
    environment.assert_clean()


def test_when_the_repository_fails_all_clients_are_told(environment: FaultEnvironment) -> None:
    path, _ = held_book(environment, fails=-1)
    answers = ask_for_all_pages(environment, path)
    assert {answer.result().status_code for answer in answers} == {502}
    environment.assert_clean()


def test_a_master_that_breaks_off_is_fetched_again_for_the_other_pages(environment: FaultEnvironment) -> None:
    path, _ = environment.master(book(), cut_at=300, cuts=2, etag="")  # of ORIGIN_RETRIES, one
    answers = ask_for_all_pages(environment, path)
    statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [200] * (PAGES - 1) + [502]
    environment.assert_clean()


def test_a_client_does_not_wait_for_a_long_job_of_the_same_master(environment: FaultEnvironment) -> None:
    """The running job stands still after its download: a frozen process is like a long conversion."""
    path, script = held_book(environment)
    environment.jobs().spread([Mezzanine.parse(path, 1)])
    environment.repository.wait_for_requests(path, 1)
    answer = environment.request_in_background(f"{path}?page=2")
    until(lambda: environment.table.read(Mezzanine.parse(path, 2).key), what="the job of the second page")
    claim = Mezzanine.parse(path, 1)
    reading = environment.table.keys.reading(claim.masters_key)
    redis = environment.table.redis
    redis.hset(reading, "window", 0)  # as if it had gone on for long
    assert environment.repository.wait_for_requests(path, 2) is None
    script.go.set()
    assert answer.result().status_code == 200
    environment.assert_clean()


@pytest.mark.parametrize("count", [1, 5])
def test_all_sizes_of_an_announced_frame_come_from_one_download(
    count: int, repository: OriginServer, tmp_path: Path
) -> None:
    with (
        ArchiveServer() as archive,
        running_installation(tmp_path, repository.url, ARCHIVE_API_URL=archive.url) as installation,
    ):
        frames = [archive.add(MONO) for _ in range(count)]
        broker = f"redis+socket://{tmp_path}/data/run/broker.sock"
        given = load(_env_file=None, redis_url=broker, repo_base_url=repository.url, archive_api_url=archive.url)
        Jobs.of(given).post(("wanted", "frame", frame) for frame in frames)
        until(lambda: len(list(installation.settings.cache_dir.rglob("*.jpg"))) == 3 * count, 60, "all sizes")
        assert [archive.count(f"/files/{frame}") for frame in frames] == [1] * count
        until(lambda: installation.journal.read_text().count("shared_download") == 2 * count, what="the log")


def test_processes_that_are_killed_cost_a_frame_one_more_download(repository: OriginServer, tmp_path: Path) -> None:
    """One process downloads the frame for a cutout or a thumbnail, and the other one waits for it."""
    with (
        ArchiveServer() as archive,
        running_installation(tmp_path, repository.url, ARCHIVE_API_URL=archive.url) as installation,
        ThreadPoolExecutor() as pool,
    ):
        frame = archive.add(MONO)
        archive.hold.clear()
        queries = ({"x": "10", "y": "10", "size": "9px"}, {})
        answers = [pool.submit(installation.request, f"/{frame}/", params=query) for query in queries]
        until(lambda: installation.table.depths()["running"] == 2, what="both jobs")
        until(lambda: archive.count(f"/files/{frame}"), what="the download")
        for process in installation.pool():
            os.kill(process, signal.SIGKILL)
        until(lambda: archive.count(f"/files/{frame}") == 2, what="the second download")
        archive.hold.set()
        assert [answer.result().status_code for answer in answers] == [200, 200]
        assert archive.count(f"/files/{frame}") == 2
        drafts = [left for left in installation.scratch() if left.suffix == ".jpg"]  # of the killed, swept later
        assert installation.scratch() == drafts, "the files of frames have no names"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_while_processes_are_killed_at_random(environment: FaultEnvironment) -> None:
    """Of each book half of the pages are requested by clients, and all are queued in bulk."""
    chance, kills = random.Random(5), 12
    books = [environment.master(book(), rate=10_000)[0] for _ in range(20)]
    environment.jobs().spread([Mezzanine.parse(path, page) for path in books for page in range(1, PAGES + 1)])
    answers = [environment.request_in_background(f"{path}?page={page}") for path in books for page in (2, 4, 6)]
    for _ in range(kills):
        pool = until(environment.pool, what="a pool process")
        environment.kill(chance.choice([*pool, *environment.installation.workers()]))
    statuses = Counter(answer.result().status_code for answer in answers)
    assert set(statuses) <= {200, 503}, "nothing fails, but a client may have to ask again"
    until(lambda: not any(environment.table.depths()[name] for name in UNFINISHED), 120, "the end of all jobs")
    assert not environment.table.failures()
    assert [page for path in books for page in missing_pages(environment, path)] == []
    total = sum(downloads(environment, path) for path in books)
    assert total <= len(books) + 3 * kills + 10, "most pages share a download even so"
    environment.assert_clean()


def missing_pages(environment: FaultEnvironment, path: str) -> list[str]:
    store = open_store(environment.installation.settings)
    pages = [Mezzanine.parse(path, page) for page in range(1, PAGES + 1)]
    return [page.label for page in pages if store.find(page) is None]
