"""`mezcal check` and `/readyz`: what is well, what is not, what to do about it, and how long each look took."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from uuid import uuid4

from api.readiness import Readiness
from mezcal.jobs import Jobs
from mezcal.settings import load
from mezcal.store import open_store
from tests.support.commands import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.broker import Broker
    from tests.support.installation import Installation

NAMES = ["settings", "secrets", "origin", "broker", "clock", "workers", "store", "scratch", "codecs"]


def lines(installation: Installation, *words: str, **given: str) -> dict[str, list[str]]:
    """The lines of `mezcal check`, by the check's name: level and what is told."""
    done = run(installation, "check", *words, env=given)
    told = {name: [level, rest] for level, name, rest in (line.split(maxsplit=2) for line in done.stdout.splitlines())}
    assert done.returncode == int(any(level == "failed" for level, _ in told.values())), done.stdout + done.stderr
    return told


def test_where_all_is_well_every_line_says_so(installation: Installation, master: str) -> None:
    told = lines(installation, master)
    assert list(told) == [*NAMES[:3], "master", *NAMES[3:]]
    assert {level for level, _ in told.values()} == {"ok"}
    assert "append-only" in told["broker"][1]
    assert "1 with 2 processes" in told["workers"][1]
    assert "renames replace whole files" in told["store"][1]


def test_a_name_that_is_nearly_a_setting_is_a_warning(installation: Installation) -> None:
    level, detail = lines(installation, WAIT_SECOND="4321")["settings"]
    assert level == "warning"
    assert "WAIT_SECOND is not a setting of mezcal; did you mean WAIT_SECONDS?" in detail
    assert "4321" not in detail


def test_json_has_level_hint_and_time_of_each(installation: Installation) -> None:
    told = json.loads(run(installation, "check", "--json").stdout)
    assert told["status"] == "ok"
    assert [check["name"] for check in told["checks"]] == NAMES
    assert all(set(check) == {"name", "level", "detail", "hint", "seconds"} for check in told["checks"])
    assert all(0 <= check["seconds"] < 30 for check in told["checks"])


def test_a_master_that_is_not_there_is_told(installation: Installation) -> None:
    assert lines(installation, f"{uuid4().hex}.tif")["master"][0] == "failed"


def test_without_a_broker_the_rest_is_looked_at_all_the_same(installation: Installation) -> None:
    told = lines(installation, REDIS_URL="redis://127.0.0.1:1/0")
    assert told["broker"][0] == "failed"
    assert "-> start `mezcal up`, or see to the server that REDIS_URL names" in told["broker"][1]
    assert list(told) == [name for name in NAMES if name not in {"clock", "workers"}]
    assert told["store"][0] == "ok"
    nobody = lines(installation, DATA_DIR=str(installation.folder / "empty"))
    assert "no `mezcal up` runs in" in nobody["broker"][1]


def test_a_wrong_setting_is_the_one_line(installation: Installation) -> None:
    told = lines(installation, WAIT_SECONDS="soon")
    assert list(told) == ["settings"]
    assert "WAIT_SECONDS is 'soon'" in told["settings"][1]


def test_readiness_tells_how_long_each_look_took(installation: Installation) -> None:
    told = installation.request("/readyz").json()
    assert set(told["seconds"]) == {"broker", "store"}
    assert all(0 <= seconds < 5 for seconds in told["seconds"].values())


def test_a_hundred_probes_share_one_look(broker: Broker, tmp_path: Path) -> None:
    """Whoever asks within a second gets what was found; the broker is asked once."""
    settings = load(_env_file=None, redis_url=broker.url, data_dir=tmp_path, repo_base_url="http://127.0.0.1:1/")
    health = Readiness(Jobs.of(settings), open_store(settings))
    with broker.client() as client:
        before = client.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"]
        threads = [threading.Thread(target=health.now) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = client.info("commandstats")["cmdstat_info"]["calls"]
    assert after - before == 2, "the look, and the question before this one"
    assert list(health.now()) == ["broker", "store"]
