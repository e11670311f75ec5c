"""Objects of KEDA, of Prometheus' operator and of the Gateway API: their fields, and what they point to."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from mezcal.jobs import Lane
from mezcal.jobs.state.keys import Keys
from mezcal.settings import Settings
from tests import DATA
from tests.support.kubernetes import FOLDER, of_kind
from tests.unit.deploy.test_kubernetes import PODS, WHOLE, chosen_by, size_of

SCHEMAS = yaml.load((DATA / "custom_resources.yaml").read_text(), yaml.CSafeLoader)
CUSTOM = of_kind(WHOLE, *SCHEMAS)
SCALED = of_kind(WHOLE, "ScaledObject")
SECRETS = {made["metadata"]["name"]: set(made["stringData"]) for made in of_kind(WHOLE, "Secret")}


def closed(schema: Any) -> Any:
    """Returns *schema* with every object that lists its properties closed for others."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(part) for key, part in schema.items()}
    return made | ({"additionalProperties": False} if isinstance(made.get("properties"), dict) else {})


def identified(thing: dict[str, Any]) -> str:
    return f"{thing['kind']}-{thing['metadata']['name']}"


@pytest.mark.parametrize("thing", CUSTOM, ids=identified)
def test_an_object_has_only_fields_that_its_project_documents(thing: dict[str, Any]) -> None:
    fields = SCHEMAS[thing["kind"]]
    Draft202012Validator(closed({"properties": fields})).validate({key: thing[key] for key in fields})


def test_every_kind_that_is_no_part_of_kubernetes_is_checked() -> None:
    foreign = {thing["kind"] for thing in WHOLE if re.search(r"\.(sh|com)/|gateway\.", thing["apiVersion"])}
    assert foreign == set(SCHEMAS)


def test_the_secrets_that_are_named_have_these_keys() -> None:
    named = []
    for thing in CUSTOM:
        text = yaml.safe_dump(thing)
        named += re.findall(r"key: (\w+)\s+name: (mezcal-\w+)", text)
    assert named
    assert all(key in SECRETS[name] for key, name in named), named


@pytest.mark.parametrize("thing", SCALED, ids=identified)
def test_workers_are_scaled_by_the_processes_of_a_pod(thing: dict[str, Any]) -> None:
    spec = thing["spec"]
    pod = PODS[spec["scaleTargetRef"]["name"]]
    processes = pod["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    modified = spec["advanced"].get("scalingModifiers", {})
    targets = {trigger["metadata"].get("threshold", modified.get("target")) for trigger in spec["triggers"]}
    assert targets == {processes}
    down_to = {"mezcal-bulk": 0, "mezcal-interactive": 2}
    assert spec["minReplicaCount"] == down_to[spec["scaleTargetRef"]["name"]]
    authentications = {made["metadata"]["name"] for made in of_kind(WHOLE, "TriggerAuthentication")}
    assert {trigger["authenticationRef"]["name"] for trigger in spec["triggers"]} <= authentications


def test_the_lists_that_keda_reads_from_redis_are_those_of_the_job_table() -> None:
    keys = Keys("mezcal:MARK:")
    named = {
        trigger["metadata"]["listName"]
        for thing in SCALED
        for trigger in thing["spec"]["triggers"]
        if trigger["type"] == "redis"
    }
    assert named == {keys.queued(Lane.INTERACTIVE), keys.queued(Lane.BULK), keys.running}


def test_prometheus_scrapes_every_pod_that_has_metrics() -> None:
    scraped = set()
    for monitor in of_kind(CUSTOM, "PodMonitor"):
        scraped |= chosen_by(monitor["spec"]["selector"])
    (service,) = of_kind(CUSTOM, "ServiceMonitor")
    wanted = service["spec"]["selector"]["matchLabels"].items()
    services = [made for made in of_kind(WHOLE, "Service") if wanted <= made["metadata"]["labels"].items()]
    for made in services:
        scraped |= chosen_by({"matchLabels": made["spec"]["selector"]})
        assert {endpoint["port"] for endpoint in service["spec"]["endpoints"]} == {made["spec"]["ports"][0]["name"]}
    assert len(services) == 1, "two would count each pod twice"
    with_metrics = {name for name, pod in PODS.items() if "secrets-metrics" in str(pod["spec"]["volumes"])}
    assert scraped == with_metrics


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_a_way_in_leads_to_the_entry_and_waits_for_misses(kind: str) -> None:
    (way,) = of_kind(WHOLE, kind)
    text = yaml.safe_dump(way)
    assert "name: mezcal\n" in text
    waits = re.search(r"(?:proxy-read-timeout: '|request: )(\d+)", text)
    assert waits is not None
    assert int(waits[1]) >= 2 * Settings().wait_seconds
    body = re.search(r"proxy-body-size: (\d+)m", text)
    assert kind != "Ingress" or (body and size_of(f"{body[1]}Mi") >= Settings().jobs_max_bytes)


def test_only_what_is_named_in_an_overlay_is_an_option() -> None:
    options = {folder.name for folder in (FOLDER / "options").iterdir()}
    overlays = "\n".join(file.read_text() for file in FOLDER.glob("overlays/*/kustomization.yaml"))
    assert options == set(re.findall(r"\.\./\.\./options/([\w-]+)", overlays))
