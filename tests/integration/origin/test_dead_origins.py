"""Origins that swallow packets, or take connections and stay silent, beside one that answers."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from mezcal.checks import Severity
from mezcal.checks.origins import origin_checks
from mezcal.errors import OriginTimeout
from mezcal.jobs.origin_guard import OriginGuard
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from tests.support.commands import run
from tests.support.dead_origins import dead_server
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer
from tests.support.waiting import START, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.installation import Installation

DEAD = ("swallows", "silent")
LIMITS = "connect_timeout = 1\nread_timeout = 1\nbreaker_failures = 2\nbreaker_seconds = 120\n"
GOOD = ("maps/valley.tif", "agave-p3.tif")


@pytest.fixture(scope="module")
def beside_dead_ones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a repository that answers and two that do not."""
    folder = tmp_path_factory.mktemp("dead-origins")
    with ExitStack() as stack:
        repository = stack.enter_context(OriginServer(SAMPLES))
        urls = {kind: stack.enter_context(dead_server(kind)) for kind in DEAD}
        file = folder / "origins.toml"
        file.write_text("".join(f'[{kind}]\nprefix = "{kind}"\nurl = "{url}"\n{LIMITS}' for kind, url in urls.items()))
        given = {"ORIGINS_FILE": str(file), "API_TOKENS": "a-token-of-the-tests"}
        parts = ("--nginx", "never", "--workers", "4")
        up = stack.enter_context(running_installation(folder, repository.url, *parts, **given))
        up.settings = load(_env_file=None, data_dir=folder / "data", repo_base_url=repository.url, origins_file=file)
        yield up


def test_others_are_made_while_two_do_not_answer_which_are_paused(beside_dead_ones: Installation) -> None:
    up, guard = beside_dead_ones, OriginGuard(beside_dead_ones.table)
    asked = [f"{kind}/{number}.tif" for kind in DEAD for number in range(6)]
    for path in asked:
        assert up.ask(path, headers={"Prefer": "respond-async"}).status_code in {202, 503}
    until(lambda: all(guard.circuit(kind).state == "open" or _runs(up, kind) for kind in DEAD), START, "jobs of both")
    assert [up.ask(path).status_code for path in GOOD] == [200, 200]
    until(lambda: all(guard.circuit(kind).state == "open" for kind in DEAD), START, "the pause of both")
    paused = [up.ask(f"{kind}/new.tif") for kind in DEAD]
    assert [(answer.status_code, answer.json()["type"].rpartition("/")[2]) for answer in paused] == [
        (503, "origin-paused")
    ] * 2
    assert all(0 < int(answer.headers["Retry-After"]) <= 120 for answer in paused)
    assert up.ask(GOOD[0], params={"page": "1"}).status_code == 200


def _runs(up: Installation, kind: str) -> bool:
    jobs = [up.table.read(Mezzanine.parse(f"{kind}/{number}.tif").key) for number in range(6)]
    return any(job is not None and job.state == "running" for job in jobs)


def test_readiness_the_pages_and_check_wait_for_neither(beside_dead_ones: Installation) -> None:
    up = beside_dead_ones
    assert up.request("/readyz").status_code == 200
    assert up.request("/").status_code == 200
    page = up.request("/ops", headers={"Authorization": "Bearer a-token-of-the-tests"})
    assert all(f"Origin {kind}" in page.text for kind in DEAD)
    done = run(up, "check", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert checks["origin"]["level"] == "ok"
    for kind, detail in {
        "swallows": "accepted no connection within 1 s",
        "silent": "did not answer within 1 s",
    }.items():
        found = checks[f"origin {kind}"]
        assert (found["level"], detail in found["detail"]) == ("failed", True), found


def test_a_silent_bucket_is_asked_once_by_the_check() -> None:
    with dead_server("silent") as url:
        key = {"repo_username": "id", "repo_password": "secret", "repo_internal_url": url}
        settings = load(_env_file=None, repo_base_url="s3://masters", origin_read_timeout=0.5, origin_retries=10, **key)
        [found] = [check.run() for check in origin_checks(settings)]
    assert (found.level, "did not answer within 0.5 s" in found.detail) == (Severity.FAILED, True)
    assert found.seconds < 0.5 * 11, "less than all its attempts"


@pytest.mark.parametrize("several", [False, True])
def test_an_impatient_origin_repeats_no_request_that_timed_out(tmp_path: Path, *, several: bool) -> None:
    with OriginServer() as server:
        server.script("slow.tif", delay=30)
        server.script("failing.tif", fails=1, body=b"a master")
        file = tmp_path / "origins.toml"
        file.write_text(f'[all]\nprefix = "{"p" if several else ""}"\nurl = "{server.url}"\n')
        settings = load(_env_file=None, origins_file=file, tmp_dir=tmp_path, origin_read_timeout=0.3, origin_retries=1)
        patient, prefix = open_origin(settings), "p/" if several else ""
        for origin, count in ((patient, 2), (patient.impatient(), 3)):
            with pytest.raises(OriginTimeout), origin.open(f"{prefix}slow.tif"):
                pass
            assert server.count("slow.tif") == count
        with patient.impatient().open(f"{prefix}failing.tif") as master:
            assert master.file.read() == b"a master", "another failure is repeated"
        with pytest.raises(OriginTimeout):
            patient.impatient().revalidate(f"{prefix}slow.tif", None, None)
        assert server.count("slow.tif") == 4


def test_an_impatient_origin_goes_on_with_a_master_whose_bytes_pause(tmp_path: Path) -> None:
    """It answers, so it is not dead: what has arrived of a large master is not thrown away."""
    body = b"x" * 200_000
    with OriginServer() as server:
        script = server.script("large.tif", body=body, hold_at=100_000)
        settings = load(
            _env_file=None, repo_base_url=server.url, tmp_dir=tmp_path, origin_read_timeout=0.5, origin_retries=5
        )
        with open_origin(settings).impatient().open("large.tif") as master:
            server.wait_for_requests("large.tif", 2)
            script.go.set()
            assert master.file.read() == body
        assert "bytes=100000-" in server.seen("large.tif")[1].headers["range"]
