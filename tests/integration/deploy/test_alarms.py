"""`promtool test rules`: each alarm is raised when it should be, and none while all is well."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import ROOT
from tools.alarms_table import ALARMS, PAGE, RULE, prometheus_rule, renewed, rules

if TYPE_CHECKING:
    from pathlib import Path

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool: Debian's prometheus")

Series = dict[str, str]
HOURS = "x180"  # a sample each minute, for three hours

WELL: Series = {  # what an installation says that makes images and has nothing to complain of
    'up{job="mezcal-api", instance="a"}': f"1{HOURS}",
    'up{job="monitoring/mezcal-workers", instance="w"}': f"1{HOURS}",
    'mezcal_build_info{version="2.0.0"}': f"1{HOURS}",
    'mezcal_processes{part="worker"}': f"3{HOURS}",
    "mezcal_broker_up": f"1{HOURS}",
    "mezcal_broker_damaged_states": f"0{HOURS}",
    "mezcal_store_up": f"1{HOURS}",
    "mezcal_store_free_bytes": f"500000000000{HOURS}",
    'mezcal_queue_age_seconds{lane="interactive"}': f"2{HOURS}",
    'mezcal_queue_age_seconds{lane="bulk"}': f"9000{HOURS}",
    'mezcal_queued_jobs{lane="interactive"}': f"3{HOURS}",
    'mezcal_queued_jobs{lane="bulk"}': f"9000{HOURS}",
    "mezcal_running_jobs": f"2{HOURS}",
    'mezcal_requests_total{outcome="hit", status="200"}': "0+600x180",
    'mezcal_requests_total{outcome="wait-expired", status="503"}': f"7{HOURS}",
    'mezcal_request_seconds_bucket{outcome="miss", le="2.5"}': "0+60x180",
    'mezcal_request_seconds_bucket{outcome="miss", le="25"}': "0+61x180",
    'mezcal_request_seconds_bucket{outcome="miss", le="+Inf"}': "0+61x180",
    'mezcal_origin_circuit{origin="repository", state="open"}': f"0{HOURS}",
    'mezcal_jobs_total{outcome="made"}': "0+100x180",
    'mezcal_jobs_total{outcome="failed"}': "0+10x180",
    'mezcal_jobs_total{outcome="process-died"}': f"3{HOURS}",
    "mezcal_quarantined_jobs": f"4{HOURS}",
    'mezcal_deliveries_total{format="s3", outcome="refused"}': f"4{HOURS}",
    'mezcal_master_digests_total{outcome="differed"}': f"3{HOURS}",
    "mezcal_waiting_chunks": f"40{HOURS}",
    'mezcal_batch_items_total{outcome="done"}': "0+100x180",
    "mezcal_waiting_registrations": f"30{HOURS}",
    "mezcal_registration_up": f"1{HOURS}",
    "mezcal_refused_registrations": f"0{HOURS}",
    'mezcal_waiting_changes{hook="cdn"}': f"30{HOURS}",
    'mezcal_downstream_up{hook="cdn"}': f"1{HOURS}",
    'mezcal_undelivered_changes{hook="cdn"}': f"0{HOURS}",
}

ILL: dict[str, tuple[Series, int, dict[str, str]]] = {  # alarm: series that differ, minutes until it is raised, labels
    "MezcalGone": ({'mezcal_build_info{version="2.0.0"}': "1x10 stale"}, 15, {}),
    "MezcalTargetDown": (
        {'up{job="mezcal-api", instance="a"}': f"0{HOURS}"}, 6, {"job": "mezcal-api", "instance": "a"},
    ),
    "MezcalWorkersGone": ({'mezcal_processes{part="worker"}': "3x10 stale"}, 20, {"part": "worker"}),
    "MezcalBrokerDown": ({"mezcal_broker_up": f"0{HOURS}"}, 2, {}),
    "MezcalBrokerStateDamaged": ({"mezcal_broker_damaged_states": f"1{HOURS}"}, 1, {}),
    "MezcalStoreDown": ({"mezcal_store_up": f"0{HOURS}"}, 2, {}),
    "MezcalStoreNearlyFull": ({"mezcal_store_free_bytes": f"9000000000{HOURS}"}, 6, {}),
    "MezcalClientsWait": ({'mezcal_queue_age_seconds{lane="interactive"}': f"20{HOURS}"}, 3, {}),
    "MezcalNoWorkerTakesJobs": ({"mezcal_running_jobs": f"0{HOURS}"}, 2, {}),
    "MezcalClientsRefused": ({'mezcal_requests_total{outcome="wait-expired", status="503"}': "0+1x180"}, 16, {}),
    "MezcalMissesSlow": ({'mezcal_request_seconds_bucket{outcome="miss", le="2.5"}': "0+50x180"}, 16, {}),
    "MezcalRepositoryPaused": (
        {'mezcal_origin_circuit{origin="repository", state="open"}': f"1{HOURS}"}, 6, {"origin": "repository"},
    ),
    "MezcalJobsFail": ({'mezcal_jobs_total{outcome="failed"}': "0+30x180"}, 16, {}),
    "MezcalProcessesDie": ({'mezcal_jobs_total{outcome="process-died"}': "0+1x180"}, 21, {}),
    "MezcalQuarantine": ({"mezcal_quarantined_jobs": "4x20 5x160"}, 40, {}),
    "MezcalMastersDamaged": ({'mezcal_master_digests_total{outcome="differed"}': "0+1x180"}, 5, {}),
    "MezcalEventsRefused": (
        {'mezcal_deliveries_total{format="s3", outcome="refused"}': "0+1x180"}, 20, {"format": "s3"},
    ),
    "MezcalBulkStands": ({'mezcal_batch_items_total{outcome="done"}': f"700{HOURS}"}, 130, {}),
    "MezcalRegistrationsWait": ({"mezcal_registration_up": f"0{HOURS}"}, 6, {}),
    "MezcalRegistrationsRefused": ({"mezcal_refused_registrations": f"2{HOURS}"}, 1, {}),
    "MezcalDownstreamFails": ({'mezcal_downstream_up{hook="cdn"}': f"0{HOURS}"}, 6, {"hook": "cdn"}),
    "MezcalChangesUndelivered": ({'mezcal_undelivered_changes{hook="cdn"}': f"7{HOURS}"}, 1, {"hook": "cdn"}),
}  # fmt: skip


def promtool_says(tmp_path: Path, series: Series, minute: int, alarms: dict[str, list[dict[str, Any]]]) -> None:
    """Assert that *alarms* are raised by *series* after *minute* minutes, with these labels."""
    expected = [
        {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": [{"exp_labels": labels} for labels in raised]}
        for name, raised in alarms.items()
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": expected,
    }
    shutil.copy(ROOT / ALARMS, tmp_path / "alarms.yaml")
    for rule in (document := yaml.safe_load((tmp_path / "alarms.yaml").read_text()))["groups"][0]["rules"]:
        del rule["annotations"]  # their texts have figures
    (tmp_path / "alarms.yaml").write_text(yaml.safe_dump(document))
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["alarms.yaml"], "evaluation_interval": "1m", "tests": [test]}))
    asked = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr


@needs_promtool
def test_no_alarm_is_raised_while_all_is_well(tmp_path: Path) -> None:
    promtool_says(tmp_path, WELL, 170, {rule["alert"]: [] for rule in rules()})


@needs_promtool
@pytest.mark.parametrize("name", ILL)
def test_an_alarm_is_raised_alone_and_not_before_its_time(name: str, tmp_path: Path) -> None:
    different, minute, more = ILL[name]
    (rule,) = [rule for rule in rules() if rule["alert"] == name]
    raised = {rule["alert"]: [] for rule in rules()}
    promtool_says(tmp_path, WELL | different, minute, raised | {name: [rule["labels"] | more]})
    if "for" in rule:
        promtool_says(tmp_path, WELL | different, 0, raised)


@needs_promtool
@pytest.mark.parametrize(
    ("values", "minute", "raised"), [("3x70 1x20", 80, False), ("3x70 1x5 2x20", 80, True), ("0x70 3x200", 170, False)]
)
def test_a_lifted_quarantine_raises_no_alarm_and_a_new_one_does_for_an_hour(
    values: str, minute: int, raised: bool, tmp_path: Path
) -> None:
    name = "MezcalQuarantine"
    (rule,) = [rule for rule in rules() if rule["alert"] == name]
    promtool_says(tmp_path, WELL | {"mezcal_quarantined_jobs": values}, minute, {name: [rule["labels"]] * raised})


def test_no_alarm_takes_the_fall_of_a_gauge_for_the_reset_of_a_counter() -> None:
    counted = re.findall(r"(?:rate|increase)\((.*?)[{\[]", " ".join(rule["expr"] for rule in rules()))
    assert counted
    assert [name for name in counted if not re.fullmatch(r"mezcal_\w+_(total|bucket)", name)] == []


@needs_promtool
def test_prometheus_takes_the_rules_with_their_texts() -> None:
    asked = subprocess.run(["promtool", "check", "rules", ROOT / ALARMS], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_every_alarm_has_a_case_a_severity_and_an_entry_in_the_list_of_what_to_do() -> None:
    assert [rule["alert"] for rule in rules()] == list(ILL)
    names = " ".join(re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/operating.md").read_text(), re.MULTILINE))
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["alarm"] in names


def test_the_page_and_the_rule_for_kubernetes_are_those_of_the_file() -> None:
    page = (ROOT / PAGE).read_text()
    assert page == renewed(page), "alarms have changed: run `make docs` and commit the result"
    assert (ROOT / RULE).read_text() == prometheus_rule(), "alarms have changed: run `make docs` and commit the result"
