"""`mezcal check` and `/readyz`: good results, problems with their remedies, and the time of each check."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from uuid import uuid4

from api.readiness import Readiness
from mezcal.jobs import Jobs
from mezcal.settings import load
from mezcal.store import open_store
from mezcal.store.origin_note import OriginNote
from tests.support.commands import run, run_in_fork

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.broker import Broker
    from tests.support.installation import Installation

NAMES = ["settings", "secrets", "origin", "broker", "clock", "workers", "store", "scratch", "codecs", "memory", "nginx"]


def lines(installation: Installation, *words: str, **given: str) -> dict[str, list[str]]:
    """The lines of `mezcal check` by the name of the check: level, and detail with hint."""
    done = run_in_fork(installation, "check", *words, env=given)
    findings = {
        name: [level, rest] for level, name, rest in (line.split(maxsplit=2) for line in done.stdout.splitlines())
    }
    assert done.returncode == int(any(level == "failed" for level, _ in findings.values())), done.stdout + done.stderr
    return findings


def test_every_line_is_ok_where_nothing_is_wrong(installation: Installation, master: str) -> None:
    findings = lines(installation, master)
    assert list(findings) == [*NAMES[:3], "master", *NAMES[3:]]
    assert {level for level, _ in findings.values()} == {"ok"}
    assert "append-only" in findings["broker"][1]
    assert "2 with 2 processes" in findings["workers"][1]
    assert "renames replace whole files" in findings["store"][1]


def test_a_name_that_is_nearly_a_setting_is_a_warning(installation: Installation) -> None:
    level, detail = lines(installation, WAIT_SECOND="4321")["settings"]
    assert level == "warning"
    assert "WAIT_SECOND is not a setting of mezcal; did you mean WAIT_SECONDS?" in detail
    assert "4321" not in detail


def test_json_has_level_hint_and_time_of_each(installation: Installation) -> None:
    findings = json.loads(run(installation, "check", "--json").stdout)
    assert findings["status"] == "ok"
    assert [check["name"] for check in findings["checks"]] == NAMES
    assert all(set(check) == {"name", "level", "detail", "hint", "seconds"} for check in findings["checks"])
    assert all(0 <= check["seconds"] < 30 for check in findings["checks"])


def test_a_missing_master_is_reported(installation: Installation) -> None:
    assert lines(installation, f"{uuid4().hex}.tif")["master"][0] == "failed"


def test_without_a_broker_the_rest_is_still_checked(installation: Installation) -> None:
    findings = lines(installation, REDIS_URL="redis://127.0.0.1:1/0")
    assert findings["broker"][0] == "failed"
    assert "-> start `mezcal up`, or check the server that REDIS_URL names" in findings["broker"][1]
    assert list(findings) == [name for name in NAMES if name not in {"clock", "workers", "memory"}]
    assert findings["store"][0] == "ok"
    unreadable = lines(installation, REDIS_URL="amqp://x")
    assert "must begin with one of redis://" in unreadable["broker"][1]
    assert unreadable["store"][0] == "ok"
    without_up = lines(installation, DATA_DIR=str(installation.folder / "empty"))
    assert "no `mezcal up` runs in" in without_up["broker"][1]


def test_a_wrong_setting_is_the_one_line(installation: Installation) -> None:
    findings = lines(installation, WAIT_SECONDS="soon")
    assert list(findings) == ["settings"]
    assert "WAIT_SECONDS is 'soon'" in findings["settings"][1]


def test_readiness_reports_how_long_each_check_took(installation: Installation) -> None:
    findings = installation.request("/readyz").json()
    assert set(findings["seconds"]) == {"broker", "store"}
    assert all(0 <= seconds < 5 for seconds in findings["seconds"].values())


def test_a_hundred_probes_share_one_check(broker: Broker, tmp_path: Path) -> None:
    """Probes within a second get the same findings; the broker is asked once."""
    settings = load(_env_file=None, redis_url=broker.url, data_dir=tmp_path, repo_base_url="http://127.0.0.1:1/")
    store = open_store(settings)
    readiness = Readiness(Jobs.of(settings), store, OriginNote(settings, store))
    with broker.client() as client:
        before = client.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"]
        threads = [threading.Thread(target=readiness.findings) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = client.info("commandstats")["cmdstat_info"]["calls"]
    assert after - before == 2, "the check, and the question before this one"
    assert list(readiness.findings()) == ["broker", "store"]
