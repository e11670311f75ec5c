"""A real Prometheus: it scrapes with the token, answers the dashboard's queries, and raises alarms."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from tests import ROOT
from tests.integration.deploy.test_dashboard import PANELS
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer
from tests.support.roles import free_port
from tests.support.signed import signed
from tests.support.waiting import until
from tools.alarms_table import ALARMS, rules
from tools.screenshots.dashboard import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.installation import Installation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Prometheus: Debian's prometheus"),
]

TOKEN = "scraped-with-this"
PICTURE = os.environ.get("DASHBOARD_PICTURE")  # a PNG file to draw the dashboard into
TRAFFIC_SECONDS = float(os.environ.get("DASHBOARD_SECONDS", "0"))  # for so long at least, for a picture with lines
SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()


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
def origin(tmp_path: Path) -> Iterator[OriginServer]:
    shutil.copytree(SAMPLES, tmp_path / "masters")
    with OriginServer(tmp_path / "masters") as server:
        for number in range(100):
            server.script(f"down/{number}.tif", fails=-1)
        yield server


@pytest.fixture
def installation(tmp_path: Path, origin: OriginServer) -> Iterator[Installation]:
    given = {"METRICS_TOKEN": TOKEN, "WEBHOOK_SECRETS": SECRET, "ORIGIN_RETRIES": "0", "BREAKER_SECONDS": "2"}
    with running_installation(tmp_path, origin.url, **given) as up:
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


class Traffic:
    """All that a dashboard can show: hits, misses, a repository that fails, a list, and an event that is refused."""

    def __init__(self, installation: Installation) -> None:
        self._installation, self._number = installation, 0

    def send(self) -> None:
        """Send some of each, new images among them."""
        self._number += 1
        failing = f"down/{self._number % 100}.tif"
        for name in ("agave-p3.tif", "agave-p3.tif", "maps/valley.tif", "no-such.tif", failing):
            self._installation.ask(name)
        for name in ("agave-p3.tif", "maps/valley.tif"):
            self._installation.ask(name, "DELETE")
        self._installation.request("/jobs", "POST", json=["galaxy-16bit.tif"])
        body = b'{"type": "Update", "object": {"id": "agave-p3.tif"}}'
        self._installation.request("/webhooks/standard", "POST", data=body, headers=signed(body, SECRET))

    def send_until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Send until *condition* holds."""

        def met() -> bool:
            self.send()
            return bool(condition())

        until(met, seconds, what)


def test_it_reads_the_metrics_shows_the_dashboard_and_raises_alarms(
    installation: Installation, prometheus: Prometheus
) -> None:
    traffic, ends = Traffic(installation), time.monotonic() + TRAFFIC_SECONDS
    for panel in PANELS:
        queries = [target["expr"] for target in panel["targets"]]
        traffic.send_until(lambda queries=queries: all(map(prometheus.value, queries)), 120, panel["title"])
    traffic.send_until(lambda: time.monotonic() > ends, TRAFFIC_SECONDS + 60, "the end of the traffic")
    if PICTURE:
        take(prometheus.url, Path(PICTURE), TRAFFIC_SECONDS or 60)
    until(lambda: len(prometheus.get("rules")["groups"][0]["rules"]) == len(rules()), 30, "the rules")
    assert "MezcalGone" not in prometheus.firing()
    assert "MezcalBrokerDown" not in prometheus.firing()
    assert installation.stop() == 0
    until(lambda: {"MezcalGone", "MezcalTargetDown", "MezcalWorkersGone"} <= prometheus.firing(), 400, "the alarms")
