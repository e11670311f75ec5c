"""A real Prometheus: it scrapes with the token, answers the dashboard's queries, and raises alarms."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from tests import ROOT
from tests.integration.deploy.test_dashboard import PANELS
from tests.support.installation import SAMPLES, running_installation
from tests.support.roles import free_port
from tests.support.waiting import until
from tools.alarms_table import ALARMS, rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.installation import Installation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Prometheus: Debian's prometheus"),
]

TOKEN = "scraped-with-this"
# Panels that show nothing in an installation without failures, lists and events.
MAY_BE_EMPTY = {
    *("Failures by class", "Jobs that failed, by class", "Lists and events", "Events received", "Responses of origins"),
    *("Circuit breaker", "Wait before a job starts", "Phases of a job, 19 of 20", "Time of misses"),
}


class Prometheus:
    """A server on loopback that scrapes one target every second; rules wait for nothing before they fire."""

    def __init__(self, folder: Path, target: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        alarms = yaml.safe_load((ROOT / ALARMS).read_text())
        for rule in alarms["groups"][0]["rules"]:
            rule.pop("for", None)
        (folder / "alarms.yaml").write_text(yaml.safe_dump(alarms))
        scraped = {
            "job_name": "mezcal",
            "authorization": {"credentials": TOKEN},
            "static_configs": [{"targets": [target]}],
        }
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alarms.yaml"],
            "scrape_configs": [scraped],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        listen = self.url.removeprefix("http://")
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with (folder / "prometheus.log").open("wb") as log:
            command = ["prometheus", *options, f"--web.listen-address={listen}"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def get(self, path: str, **parameters: str) -> Any:
        """Returns the data of an answer of its API; None while it does not answer."""
        try:
            answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10)
        except requests.ConnectionError:
            return None
        assert answer.status_code in {200, 503}, answer.text
        return json.loads(answer.text)["data"] if answer.status_code == 200 else None

    def value(self, query: str) -> list[Any]:
        """Returns the series that *query* finds now."""
        found = self.get("query", query=query.replace("$__rate_interval", "1m"))
        return list(found["result"]) if found else []

    def firing(self) -> set[str]:
        """Returns the names of the alarms that are raised."""
        found = self.get("alerts")
        return {alarm["labels"]["alertname"] for alarm in found["alerts"] if alarm["state"] == "firing"}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with running_installation(tmp_path, SAMPLES.as_uri(), METRICS_TOKEN=TOKEN) as up:
        yield up


@pytest.fixture
def prometheus(installation: Installation, tmp_path: Path) -> Iterator[Prometheus]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    server = Prometheus(folder, installation.url.removeprefix("http://"))
    try:
        until(lambda: server.value("mezcal_build_info"), 60, (folder / "prometheus.log").read_text())
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


def test_it_reads_the_metrics_shows_the_dashboard_and_raises_alarms(
    installation: Installation, prometheus: Prometheus
) -> None:
    for name in ("agave-p3.tif", "maps/valley.tif", "agave-p3.tif"):
        assert installation.ask(name).status_code == 200
    until(lambda: prometheus.value("sum(rate(mezcal_requests_total[1m])) > 0"), 30, "requests in Prometheus")
    for panel in PANELS:
        queries = [target["expr"] for target in panel["targets"]]
        if panel["title"] in MAY_BE_EMPTY:
            assert all(isinstance(prometheus.value(query), list) for query in queries)
        else:
            until(lambda queries=queries: all(map(prometheus.value, queries)), 30, panel["title"])
    until(lambda: len(prometheus.get("rules")["groups"][0]["rules"]) == len(rules()), 30, "the rules")
    assert "MezcalGone" not in prometheus.firing()
    assert "MezcalBrokerDown" not in prometheus.firing()
    assert installation.stop() == 0
    until(lambda: {"MezcalGone", "MezcalTargetDown", "MezcalWorkersGone"} <= prometheus.firing(), 400, "the alarms")
