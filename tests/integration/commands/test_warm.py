"""`mezcal warm` in front of a real installation: what it queues, follows, takes back, and how it ends."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.commands import on_a_terminal, run, run_in_fork, started
from tests.support.installation import SAMPLES
from tests.support.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer, Script

SMALL = (SAMPLES / "maps" / "valley.tif").read_bytes()


@pytest.fixture
def masters(repository: OriginServer) -> list[str]:
    """The paths of three masters that no other test has asked for."""
    folder = uuid4().hex
    paths = [f"{folder}/{number}.tif" for number in range(3)]
    for path in paths:
        repository.script(path, body=SMALL)
    return paths


@pytest.fixture
def held(repository: OriginServer) -> Iterator[tuple[str, Script]]:
    """A master whose download stops until the test lets it continue."""
    path = f"{uuid4().hex}.tif"
    script = repository.script(path, body=SMALL, hold_at=100)
    yield path, script
    script.go.set()


def last(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def test_what_is_missing_is_queued_and_made(installation: Installation, masters: list[str]) -> None:
    done = run(installation, "warm", *masters)
    assert (done.returncode, last(done)) == (0, "3 named: 3 queued")
    until(lambda: all(installation.stored(path) for path in masters), what="the images")
    again = run_in_fork(installation, "warm", *masters)
    assert (again.returncode, last(again)) == (0, "3 named: 3 cached")


def test_an_image_that_other_settings_made_is_outdated_and_made_again(
    installation: Installation, masters: list[str]
) -> None:
    first, second, _ = masters
    assert run_in_fork(installation, "warm", "--wait", first, second).returncode == 0
    stored = installation.stored(first)
    assert stored is not None
    file = stored.path.with_name("image.json")
    made = json.loads(file.read_text())
    file.write_text(json.dumps(made | {"recipe_version": "of-other-settings"}))
    rehearsed = run_in_fork(installation, "warm", "--dry-run", *masters)
    assert rehearsed.stdout.splitlines()[:2] == [f"outdated  {first}", f"cached  {second}"]
    assert last(rehearsed) == "3 named: 1 cached, 1 missing; 1 outdated"
    done = run_in_fork(installation, "warm", "--wait", first, second)
    assert (done.returncode, last(done)) == (0, "2 named: 1 cached, 1 made; 1 outdated")
    until(lambda: json.loads(file.read_text())["recipe_version"] == made["recipe_version"], what="the new image")


def test_wait_follows_to_the_end(installation: Installation, repository: OriginServer, masters: list[str]) -> None:
    done = run_in_fork(installation, "warm", "--wait", *masters)
    assert (done.returncode, last(done)) == (0, "3 named: 3 made")
    assert all(installation.stored(path) for path in masters)
    assert [repository.count(path) for path in masters] == [1, 1, 1]


def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(installation: Installation, masters: list[str]) -> None:
    done = run_in_fork(installation, "warm", "--wait", *masters)
    assert re.fullmatch(r"warm: 100% 3/3 \[.*images/s, 00:00 left\]", done.stderr.splitlines()[-1])
    assert "\r" not in done.stdout + done.stderr


def test_a_terminal_shows_a_live_bar_with_rate_failures_and_time_left(
    installation: Installation, masters: list[str]
) -> None:
    code, shown = on_a_terminal(installation, "warm", "--wait", *masters, f"{uuid4().hex}.tif")
    assert code == 1
    assert re.search(r"\rwarm: 100%\|█+\| 4/4 \[.*images/s, 00:00 left, failed 1\]", shown)
    assert shown.rstrip().endswith("4 named: 3 made, 1 failed")


def test_failures_are_listed_with_their_reasons(
    installation: Installation, repository: OriginServer, masters: list[str]
) -> None:
    broken = f"{uuid4().hex}.tif"
    repository.script(broken, body=b"no image at all")
    done = run_in_fork(installation, "warm", "--wait", masters[0], broken)
    assert (done.returncode, last(done)) == (1, "2 named: 1 made, 1 failed")
    assert re.search(rf"^failed  [0-9a-f]{{32}}  {broken}  not-an-image: ", done.stdout, re.MULTILINE)
    assert "\nnot-an-image: Look at the file." in done.stderr


def test_a_list_comes_from_a_file_or_from_stdin(
    installation: Installation, repository: OriginServer, masters: list[str]
) -> None:
    file = installation.folder / f"{uuid4().hex}.txt"
    file.write_text(f"{masters[0]}\n\n{repository.url}{masters[1]}\n")
    done = run_in_fork(
        installation, "warm", "--wait", "--from", str(file), "--from", "-", typed=f"{masters[2]}\r\n{masters[2]}\n"
    )
    assert (done.returncode, last(done)) == (0, "3 named: 3 made")


def test_what_names_no_master_is_passed_over_and_the_rest_made(installation: Installation, masters: list[str]) -> None:
    done = run_in_fork(installation, "warm", "--wait", masters[0], "../secret", "https://elsewhere.example/x.tif")
    assert (done.returncode, last(done)) == (1, "1 named: 1 made; 2 skipped")
    assert "skipped  ../secret: it leads out of the repository" in done.stdout
    assert installation.stored(masters[0])


def test_a_dry_run_asks_for_nothing(installation: Installation, repository: OriginServer, masters: list[str]) -> None:
    installation.ask(masters[0])
    done = run_in_fork(installation, "warm", "--dry-run", *masters)
    expected = [f"cached  {masters[0]}", f"missing  {masters[1]}", f"missing  {masters[2]}"]
    assert done.stdout.splitlines() == [*expected, "3 named: 1 cached, 2 missing"]
    assert done.returncode == 0
    assert (installation.job(masters[1]), repository.count(masters[1])) == (None, 0)


def test_the_masters_of_a_manifest_are_made(
    installation: Installation, repository: OriginServer, masters: list[str]
) -> None:
    bodies = [
        {"id": repository.url + masters[0], "type": "Image"},
        {
            "id": "x",
            "type": "Image",
            "service": [{"id": f"https://iiif.example/{masters[1].replace('/', '%2F')}", "type": "ImageService3"}],
        },
        {"id": "https://elsewhere.example/x.jpg", "type": "Image"},
    ]
    canvases = [
        {"type": "Canvas", "items": [{"type": "AnnotationPage", "items": [{"type": "Annotation", "body": body}]}]}
        for body in bodies
    ]
    name = f"{uuid4().hex}.json"
    document = json.dumps({"type": "Manifest", "items": canvases}).encode()
    repository.script(name, body=document, content_type="application/json")
    url = repository.url + name
    done = run_in_fork(installation, "warm", "--wait", "--manifest", url, "--service-prefix", "https://iiif.example/")
    assert (done.returncode, last(done)) == (1, "2 named: 2 made; 1 skipped")
    assert re.search(r"^skipped  https://elsewhere.example/x.jpg: its URL does not begin", done.stdout, re.MULTILINE)
    assert all(installation.stored(path) for path in masters[:2])


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_rest_queued(
    installation: Installation, held: tuple[str, Script], masters: list[str], signal_number: signal.Signals
) -> None:
    path, script = held
    with started(installation, "warm", "--wait", path, *masters) as process:
        until(
            lambda: state(installation, path) == "running" and all(state(installation, other) for other in masters),
            what="work",
        )
        process.send_signal(signal_number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped: 4 named:" in output
    assert "4 queued" in output
    assert [state(installation, other) for other in masters] == ["queued"] * 3
    script.go.set()
    until(lambda: all(installation.stored(other) for other in (path, *masters)), what="the images")


def test_ctrl_c_with_cancel_withdraws_jobs_that_have_not_started(
    installation: Installation, held: tuple[str, Script], masters: list[str], repository: OriginServer
) -> None:
    path, script = held
    with started(installation, "warm", "--wait", "--cancel", path, *masters) as process:
        until(
            lambda: state(installation, path) == "running" and all(state(installation, other) for other in masters),
            what="work",
        )
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output.splitlines()[-1].startswith("3 withdrawn; 1 had started, had ended, or others want")
    assert [state(installation, other) for other in masters] == [None] * 3
    script.go.set()
    until(lambda: installation.stored(path), what="what had begun")
    until(lambda: installation.table.depths()["bulk"] == 0)
    assert [repository.count(other) for other in masters] == [0] * 3


def test_nothing_named_or_no_broker_is_exit_code_2(installation: Installation) -> None:
    assert run_in_fork(installation, "warm").returncode == 2
    assert run_in_fork(installation, "warm", "--from", "no-such-file").returncode == 2
    away = run_in_fork(installation, "warm", "a.tif", env={"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert away.returncode == 2
    why = "mezcal: the broker cannot be reached: it refuses connections: it is down -> start `mezcal up`, or check"
    assert away.stderr.splitlines()[-1].startswith(why)


def state(installation: Installation, path: str) -> str | None:
    """Where the job of *path* stands."""
    record = installation.job(path)
    return record.state if record else None


def test_profiles_are_made_from_one_download(
    installation: Installation, repository: OriginServer, masters: list[str]
) -> None:
    done = run_in_fork(installation, "warm", "--wait", "--profile", "pyramid", "--profile", "mezzanine", *masters)
    assert (done.returncode, last(done)) == (0, "6 named: 6 made")
    assert [repository.count(path) for path in masters] == [1, 1, 1]
    for path in masters:
        answer = installation.request(f"/derivatives/pyramid/{path}.tif")
        assert answer.headers["Cache-Status"] == "mezcal; hit"
    rehearsed = run_in_fork(installation, "warm", "--dry-run", "--profile", "pyramid", masters[0], f"{uuid4().hex}.tif")
    assert rehearsed.stdout.splitlines()[0] == f"cached  {masters[0]} as pyramid"
    assert last(rehearsed) == "2 named: 1 cached, 1 missing"


def test_an_unknown_profile_is_refused_with_those_there_are(installation: Installation, masters: list[str]) -> None:
    done = run_in_fork(installation, "warm", "--profile", "large", *masters)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no profile 'large': it may be mezzanine, pyramid" in done.stderr
