"""`mezcal failures` in front of a real installation: shown, tried again, forgotten."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.recipe import PYRAMID, Mezzanine
from tests.integration.conftest import TOKEN
from tests.support.commands import run, run_in_fork
from tests.support.installation import SAMPLES
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

SMALL = (SAMPLES / "maps" / "valley.tif").read_bytes()


@pytest.fixture
def failed(installation: Installation, repository: OriginServer) -> str:
    """The path of a master that has failed, and would not if it were tried again."""
    path = f"{uuid4().hex}.tif"
    repository.script(path, body=b"no image")
    assert installation.ask(path).status_code == 415
    repository.script(path, body=SMALL)
    return path


def key_of(path: str) -> str:
    return Mezzanine(path).key


def test_a_line_tells_what_failed_and_why(installation: Installation, failed: str) -> None:
    done = run(installation, "failures")
    assert re.search(
        rf"^{key_of(failed)}  failed +1 attempt  {failed}  not-an-image: .+$", done.stdout, re.MULTILINE
    ), done.stdout
    assert done.returncode == 0
    assert re.search(r"^not-an-image: Look at the file\..* \(docs/formats.md\)$", done.stderr, re.MULTILINE)
    history = run_in_fork(installation, "failures", "--full").stdout.partition(failed)[2].splitlines()[1]
    assert re.match(r"    \d{4}-\d\d-\d\dT.*not-an-image", history)


def test_json_has_the_form_of_the_api(installation: Installation, failed: str) -> None:
    listed = json.loads(run_in_fork(installation, "failures", "--json", "--limit", "1000").stdout)["jobs"]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answered = installation.request("/jobs?state=failed&limit=1000", headers=headers).json()["jobs"]
    [ours] = [job for job in listed if job["id"] == key_of(failed)]
    [theirs] = [job for job in answered if job["id"] == key_of(failed)]
    shared = ours.keys() & theirs.keys()
    assert theirs.keys() - shared == {"image", "links"}
    assert ours.keys() - shared == {"label", "recipe"}
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    assert ours["label"] == failed
    assert ours["recipe"] == {"kind": "mezzanine", "path": failed, "page": None}


def test_a_limit_shows_so_many(installation: Installation, failed: str) -> None:
    assert len(json.loads(run_in_fork(installation, "failures", "--json", "--limit", "1").stdout)["jobs"]) == 1


@pytest.mark.parametrize("named", ["id", "path"])
def test_retry_makes_what_can_be_made_now(installation: Installation, failed: str, named: str) -> None:
    done = run_in_fork(installation, "failures", "--retry", key_of(failed) if named == "id" else failed)
    assert (done.returncode, done.stdout) == (0, f"{key_of(failed)}  queued again\n")
    until(lambda: installation.stored(failed), what="the image")


def test_a_path_means_all_profiles_of_the_master(
    installation: Installation, repository: OriginServer, failed: str
) -> None:
    repository.script(failed, body=b"no image")
    pyramid = Mezzanine(failed, profile=PYRAMID).key
    assert installation.request(f"/derivatives/pyramid/{failed}.tif").status_code == 415
    shown = run_in_fork(installation, "failures", "--limit", "1000").stdout
    assert re.search(rf"^{pyramid}  failed .*  {failed} as pyramid  not-an-image: ", shown, re.MULTILINE)
    done = run_in_fork(installation, "failures", "--forget", failed)
    assert set(done.stdout.splitlines()) == {f"{key}  forgotten" for key in (key_of(failed), pyramid)}
    assert run_in_fork(installation, "failures", "--forget", failed).stdout == f"{key_of(failed)}  no such failure\n"


def test_forget_lets_the_next_request_start_the_job_again(installation: Installation, failed: str) -> None:
    assert installation.job(failed) is not None
    done = run_in_fork(installation, "failures", "--forget", failed)
    assert (done.returncode, done.stdout) == (0, f"{key_of(failed)}  forgotten\n")
    assert installation.job(failed) is None
    assert installation.ask(failed).status_code == 200


@pytest.mark.parametrize("option", ["--retry", "--forget"])
def test_what_has_not_failed_is_left_as_it_is_and_exit_code_1(
    installation: Installation, master: str, option: str
) -> None:
    installation.ask(master)
    done = run_in_fork(installation, "failures", option, master, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"jobs": [{"id": key_of(master), "done": False}]}
    assert installation.stored(master)
    assert installation.job(master) is not None


def test_all_is_all(installation: Installation, failed: str) -> None:
    done = run_in_fork(installation, "failures", "--exit-code")
    assert done.returncode == 1
    done = run_in_fork(installation, "failures", "--forget", "all")
    assert f"{key_of(failed)}  forgotten" in done.stdout
    done = run_in_fork(installation, "failures", "--exit-code")
    assert (done.returncode, done.stdout) == (0, "no failed jobs\n")
    assert run_in_fork(installation, "failures", "--retry", "all").stdout == "no failed jobs\n"


def test_without_a_broker_it_is_exit_code_2(installation: Installation) -> None:
    away = run_in_fork(installation, "failures", env={"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert (away.returncode, away.stderr.splitlines()) == (2, ["mezcal: the queue cannot be reached"])
    both = run_in_fork(installation, "failures", "--retry", "all", "--forget", "all")
    assert both.returncode == 2
