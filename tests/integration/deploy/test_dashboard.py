"""The dashboard for Grafana asks for metrics and labels that exist, in queries that Prometheus understands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import ROOT
from tools.alarms_table import rules
from tools.metrics_table import definitions

if TYPE_CHECKING:
    from pathlib import Path

DASHBOARD = json.loads((ROOT / "deploy/kubernetes/options/monitoring/mezcal.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN = [target["expr"] for panel in PANELS for target in panel["targets"]]
METRICS = {metric.name: metric for metric in definitions()}
OF_HISTOGRAMS = re.compile(r"_(bucket|count|sum)$")
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}
NAMED = re.compile(r"\b(mezcal_\w+)(?:\{([^}]*)\})?")


def scaler_queries() -> list[str]:
    text = (ROOT / "deploy/kubernetes/options/keda/workers.yaml").read_text()
    made = [thing for thing in yaml.safe_load_all(text) if thing["kind"] == "ScaledObject"]
    return [trigger["metadata"]["query"] for thing in made for trigger in thing["spec"]["triggers"]]


@pytest.mark.parametrize("query", [*SHOWN, *(rule["expr"] for rule in rules()), *scaler_queries()])
def test_a_query_names_metrics_and_labels_that_exist(query: str) -> None:
    for name, selected in NAMED.findall(query):
        metric = METRICS.get(name) or METRICS[OF_HISTOGRAMS.sub("", name)]
        assert (metric.type == "histogram") == bool(OF_HISTOGRAMS.search(name)), name
        assert set(re.findall(r"(\w+)[!=]~?=?\"", selected)) <= {*metric.labels}, query
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(", ")}
    known = {label for name, _ in NAMED.findall(query)
             for label in (METRICS.get(name) or METRICS[OF_HISTOGRAMS.sub("", name)]).labels}  # fmt: skip
    assert grouped <= known | ADDED_BY_PROMETHEUS


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool: Debian's prometheus")
def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    queries = [query.replace("$__rate_interval", "5m") for query in [*SHOWN, *scaler_queries()]]
    recorded = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": recorded}]}))
    asked = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_gauges_that_every_target_repeats_are_not_added_up() -> None:
    """What is read from Redis is the same at every target: docs/metrics.md."""
    repeated = [name for name in METRICS if name.startswith(("mezcal_queued", "mezcal_running", "mezcal_batch"))]
    assert repeated
    for query in [*SHOWN, *scaler_queries()]:
        for name in repeated:
            assert not re.search(rf"sum(?: by \([^)]*\))? ?\((?:rate\()?{name}\b", query), query


def test_the_dashboard_can_be_laid_out_and_lets_one_choose_the_source() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    taken = [(x, y) for place in places for x in range(place["x"], place["x"] + place["w"])
             for y in range(place["y"], place["y"] + place["h"])]  # fmt: skip
    assert len(taken) == len(set(taken)), "panels overlap"
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${source}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["source"]
