"""What Flower shows of jobs that are delayed, or whose process has died."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
import requests
from pydantic import SecretStr

from mezcal.jobs import Jobs, Lane
from mezcal.recipe import Mezzanine
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation


@pytest.fixture(scope="module")
def origin() -> Iterator[OriginServer]:
    with OriginServer(SAMPLES) as running:
        yield running


@pytest.fixture(scope="module")
def installation(origin: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder, options = tmp_path_factory.mktemp("flower"), ("--flower", "--flower-port", "0")
    given = {"ORIGIN_RETRIES": "0", "RETRY_SECONDS": "300", "FLOWER_BASIC_AUTH": "ann:her secret"}
    with running_installation(folder, origin.url, *options, **given) as running:
        yield running


def tasks(installation: Installation, path: str) -> list[dict[str, Any]]:
    """What Flower has of *path*, the oldest first."""
    (url,) = re.findall(r"the dashboard is at (\S+/)", installation.journal.read_text())
    found = requests.get(f"{url}api/tasks", auth=("ann", "her secret"), timeout=30).json().values()
    return sorted((task for task in found if task["args"] == path), key=lambda task: task["received"])


def shown(installation: Installation, search: str) -> list[dict[str, Any]]:
    """The lines of Flower's page of tasks that *search* finds."""
    (url,) = re.findall(r"the dashboard is at (\S+/)", installation.journal.read_text())
    asked = {"draw": 1, "start": 0, "length": 10, "search[value]": search, "order[0][column]": 0}
    asked |= {"columns[0][data]": "received", "order[0][dir]": "desc"}
    answer = requests.get(f"{url}tasks/datatable", params=asked, auth=("ann", "her secret"), timeout=30)
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def wanted(installation: Installation, path: str, lane: Lane) -> None:
    url = SecretStr(f"redis+socket://{installation.folder}/data/run/broker.sock")
    Jobs.of(installation.settings.model_copy(update={"redis_url": url})).ask(Mezzanine(path), lane)


def test_a_password_of_ones_own_is_the_only_one(installation: Installation) -> None:
    (url,) = re.findall(r"the dashboard is at (\S+/)", installation.journal.read_text())
    assert requests.get(url, auth=("ann", "her secret"), timeout=30).status_code == 200
    assert requests.get(url, auth=("mezcal", ""), timeout=30).status_code == 401
    assert not (installation.folder / "data" / "flower" / "password").exists()


def test_a_delayed_job_is_shown_as_to_be_tried_again_with_the_reason(
    installation: Installation, origin: OriginServer
) -> None:
    origin.script("delayed.tif", status=500, fails=-1)
    wanted(installation, "delayed.tif", Lane.BULK)
    (task,) = until(
        lambda: [one for one in tasks(installation, "delayed.tif") if one["state"] == "RETRY"], 30, "a delayed job"
    )
    assert task["kwargs"] == "lane=bulk"
    assert re.fullmatch(r"next attempt in \d+ s: origin-failed: .+", task["exception"])


def test_a_process_that_died_is_shown_as_a_failure_and_its_job_goes_on(
    installation: Installation, origin: OriginServer
) -> None:
    body = (SAMPLES / "maps" / "valley.tif").read_bytes()
    script = origin.script("deadly.tif", body=body, hold_at=1000)
    wanted(installation, "deadly.tif", Lane.INTERACTIVE)
    record = until(
        lambda: (job := installation.job("deadly.tif")) and job.state == "running" and job, 30, "a running job"
    )
    origin.script("deadly.tif", body=body)
    os.kill(int(record.worker.rpartition(":")[2]), signal.SIGKILL)
    script.go.set()
    until(
        lambda: [one["state"] for one in tasks(installation, "deadly.tif")] == ["FAILURE", "SUCCESS"], 30, "both tries"
    )
    assert "WorkerLostError" in tasks(installation, "deadly.tif")[0]["traceback"]
    (row,) = shown(installation, "args:deadly.tif state:FAILURE")
    assert "WorkerLostError" in row["exception"]
    assert row["runtime"] > 0
