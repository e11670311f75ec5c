"""The manifests hold together, with the image and with the program. No cluster is needed to tell."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.cli import parse
from mezcal.commands.setup.secrets import TEMPLATES
from mezcal.settings import Settings
from tests import ROOT
from tests.support.kubernetes import FOLDER, OVERLAYS, WITH_PODS, containers, objects, of_kind, pods

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kubernetes import Manifest

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
FILES = [file for file in sorted(FOLDER.rglob("*.yaml")) if file.name != "kustomization.yaml"]
PATCHES = {"cache-of-api.yaml", "cache-of-workers.yaml", "nginx.yaml", "entry.yaml", "one-node.yaml"}
WHOLE = [thing for file in FILES if file.name not in PATCHES for thing in objects(file.read_text())]
PODS = dict(pods(WHOLE))
ROLES = {
    "mezcal-api": "api",
    "mezcal-interactive": "worker",
    "mezcal-bulk": "worker",
    "mezcal-beat": "beat",
    "mezcal-listen": "listen",
    "mezcal-flower": "flower",
}
SECRETS = {
    "mezcal-redis": {"redis"},
    "mezcal-front": set(),
    "mezcal-api": {"redis", "origins", "api", "store", "metrics"},
    "mezcal-interactive": {"redis", "origins", "store", "worker", "metrics"},
    "mezcal-bulk": {"redis", "origins", "store", "worker", "metrics"},
    "mezcal-beat": {"redis", "origins", "store", "worker", "metrics"},
    "mezcal-listen": {"redis", "origins", "store", "listen", "metrics"},
    "mezcal-flower": {"redis", "origins", "flower"},
}
NOT_IN_EVERY_INSTALLATION = {"store", "worker", "origins"}  # a bucket, a credential, several repositories
OUTAGE_SECONDS = 60  # a broker is away for longer than that


def every_container() -> list[tuple[str, Manifest]]:
    return [(f"{name}:{part['name']}", part) for name, pod in PODS.items() for part in containers(pod)]


def environment(name: str) -> dict[str, str]:
    """Returns the variables of a pod's first container: those of its ConfigMaps, then its own."""
    (part, *_) = PODS[name]["spec"]["containers"]
    maps = [source["configMapRef"]["name"] for source in part.get("envFrom", [])]
    found = {key: value for made in maps for key, value in literals(FOLDER / "base", made).items()}
    return found | {entry["name"]: entry["value"] for entry in part.get("env", [])}


def literals(folder: Path, name: str) -> dict[str, str]:
    """Returns the settings that the generator of the ConfigMap *name* adds in *folder*."""
    (made,) = objects((folder / "kustomization.yaml").read_text())
    lines = [
        line for maker in made.get("configMapGenerator", []) if maker["name"] == name for line in maker["literals"]
    ]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("name", PODS)
def test_pod_security_restricted_admits_the_pod(name: str) -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted ."""
    spec = PODS[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
    for part in containers(PODS[name]):
        assert part["securityContext"]["allowPrivilegeEscalation"] is False
        assert part["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "hostPort" not in str(part)


@pytest.mark.parametrize(("name", "part"), every_container())
def test_a_container_writes_nowhere_but_into_its_volumes_and_says_what_it_takes(name: str, part: Manifest) -> None:
    assert part["securityContext"]["readOnlyRootFilesystem"] is True
    asked, limits = part["resources"]["requests"], part["resources"]["limits"]
    assert {"cpu", "memory", "ephemeral-storage"} <= set(asked)
    assert {"memory", "ephemeral-storage"} <= set(limits)
    assert "command" in part or "args" in part


@pytest.mark.parametrize("name", PODS)
def test_each_volume_is_there_and_bounded(name: str) -> None:
    spec = PODS[name]["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounted = {mount["name"] for part in containers(PODS[name]) for mount in part["volumeMounts"]}
    assert mounted - {"data"} == set(volumes), "`data` is a claim of its StatefulSet"
    assert all("sizeLimit" in volume["emptyDir"] for volume in volumes.values() if "emptyDir" in volume)


@pytest.mark.parametrize("name", ROLES)
def test_the_scratch_folders_fit_into_the_ephemeral_storage(name: str) -> None:
    sizes = [volume["emptyDir"] for volume in PODS[name]["spec"]["volumes"] if "emptyDir" in volume]
    needed = sum(size_of(folder["sizeLimit"]) for folder in sizes if folder.get("medium") != "Memory")
    limit = PODS[name]["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"]
    assert needed <= size_of(limit)


def size_of(text: str) -> int:
    return int(text[:-2]) << {"Ki": 10, "Mi": 20, "Gi": 30}[text[-2:]]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_mounts_the_secrets_that_it_needs_for_its_group_alone(name: str) -> None:
    secrets = [volume["secret"] for volume in PODS[name]["spec"]["volumes"] if "secret" in volume]
    assert {secret["secretName"] for secret in secrets} == {f"mezcal-{reader}" for reader in SECRETS[name]}
    assert all(secret["defaultMode"] == 0o440 for secret in secrets)
    optional = {secret["secretName"][7:] for secret in secrets if secret.get("optional")}
    assert optional == SECRETS[name] & NOT_IN_EVERY_INSTALLATION


def test_no_secret_is_applied_with_the_manifests() -> None:
    """An example with empty values would replace the secrets that were made before it."""
    applied = [file for file in FILES if "examples" not in file.parts]
    assert not [file for file in applied if re.search(r"^kind: Secret$", file.read_text(), re.MULTILINE)]
    listed = [entry for file in FOLDER.rglob("kustomization.yaml") for made in objects(file.read_text())
              for field in ("resources", "bases") for entry in made.get(field, [])]  # fmt: skip
    assert not [entry for entry in listed if "example" in entry]


def test_each_secret_has_an_example_and_the_files_that_are_made_for_it() -> None:
    examples = {made["metadata"]["name"]: set(made["stringData"]) for made in of_kind(WHOLE, "Secret")}
    assert {f"mezcal-{reader}" for readers in SECRETS.values() for reader in readers} <= set(examples)
    for name in TEMPLATES:
        reader, file = name.split("/")
        assert file in examples[f"mezcal-{reader}"]


@pytest.mark.parametrize("name", ROLES)
def test_files_of_secrets_that_settings_name_are_mounted(name: str) -> None:
    named = [value for key, value in environment(name).items() if key.endswith("_FILE") and value]
    assert {value.split("/")[3] for value in named} <= SECRETS[name]


@pytest.mark.parametrize("name", ROLES)
def test_each_role_is_a_command_and_each_variable_a_setting(name: str) -> None:
    args = PODS[name]["spec"]["containers"][0]["args"]
    assert args[0] == ROLES[name]
    assert callable(parse(args).run)
    known = {field.upper() for field in Settings.model_fields}
    assert {key.removesuffix("_FILE") for key in environment(name)} <= known


@pytest.mark.parametrize("folder", OVERLAYS)
def test_each_overlay_sets_known_settings(folder: str) -> None:
    known = {field.upper() for field in Settings.model_fields}
    given = literals(FOLDER / "overlays" / folder, "mezcal")
    assert {key.removesuffix("_FILE") for key in given} <= known
    assert "REPO_BASE_URL" in given


@pytest.mark.parametrize("name", ["mezcal-interactive", "mezcal-bulk", "mezcal-beat", "mezcal-listen"])
def test_an_outage_of_the_broker_restarts_no_worker(name: str) -> None:
    """The probes of a worker look at a file that its event loop touches; nothing else may end it."""
    (part,) = PODS[name]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe"):
        assert part[probe]["exec"]["command"] == ["mezcal", "healthy"]
    assert "readinessProbe" not in part, "nobody sends it requests"
    assert seconds(part["startupProbe"]) >= 120


def test_the_api_is_ready_while_the_broker_is_away() -> None:
    (part,) = PODS["mezcal-api"]["spec"]["containers"]
    probes = {probe: part[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert set(probes.values()) == {"/healthz"}


def test_a_redis_that_loads_its_log_lives_and_is_not_ready() -> None:
    (part,) = PODS["mezcal-redis"]["spec"]["containers"]
    asked = {probe: part[f"{probe}Probe"]["exec"]["command"][-1] for probe in ("startup", "liveness", "readiness")}
    assert "LOADING" in asked["liveness"]
    assert "LOADING" not in asked["startup"] + asked["readiness"]
    assert seconds(part["startupProbe"]) >= 1800
    assert seconds(part["livenessProbe"]) >= OUTAGE_SECONDS


def seconds(probe: Manifest) -> int:
    return int(probe["periodSeconds"] * probe.get("failureThreshold", 3))


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_time_to_finish_what_has_begun(name: str) -> None:
    spec = PODS[name]["spec"]
    drain = {"mezcal-flower": 0, "mezcal-redis": 30}.get(name, Settings().drain_seconds)
    hooks = [part["lifecycle"]["preStop"]["exec"]["command"][1] for part in spec["containers"] if "lifecycle" in part]
    assert spec["terminationGracePeriodSeconds"] >= drain + max(map(int, hooks), default=0) + 10


@pytest.mark.parametrize("thing", WHOLE, ids=lambda thing: f"{thing['kind']}-{thing['metadata']['name']}")
def test_every_object_has_the_standard_labels(thing: Manifest) -> None:
    """Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ ."""
    labels = thing["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/part-of"] == "mezcal"
    assert labels.get("app.kubernetes.io/version", VERSION) == VERSION
    if thing["kind"] in WITH_PODS:
        inside, chosen = thing["spec"]["template"]["metadata"]["labels"], thing["spec"]["selector"]["matchLabels"]
        assert labels == inside
        assert chosen.items() <= inside.items()
        assert set(chosen) == {"app.kubernetes.io/name", "app.kubernetes.io/component"}, "it cannot change later"


def test_every_image_is_pinned_and_ours_is_of_this_version() -> None:
    images = re.findall(r"image: (\S+)", "\n".join(file.read_text() for file in FILES))
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image) for image in images), images
    assert {image for image in images if image.startswith("mezcal")} == {f"mezcal:{VERSION}"}
    compose = (ROOT / "docker-compose.yml").read_text()
    assert all(f":-{image}}}" in compose for image in images if not image.startswith("mezcal:"))
    for folder in OVERLAYS:
        (made,) = objects((FOLDER / "overlays" / folder / "kustomization.yaml").read_text())
        assert [image["newTag"] for image in made["images"]] == [VERSION]


def test_redis_has_the_same_configuration_as_in_the_composition() -> None:
    assert (FOLDER / "base/redis.conf").read_text() == (ROOT / "deploy/redis/redis.conf").read_text()


def chosen_by(selector: dict[str, Any]) -> set[str]:
    """Returns the names of the pods that a selector of labels chooses."""
    found = set()
    for name, pod in PODS.items():
        labels = pod["metadata"]["labels"]
        matches = selector.get("matchLabels", {}).items() <= labels.items()
        rules = [(labels.get(rule["key"]) in rule["values"]) == (rule["operator"] == "In")
                 for rule in selector.get("matchExpressions", [])]  # fmt: skip
        if matches and all(rules):
            found.add(name)
    return found


def test_redis_is_reached_by_those_who_need_it_and_nobody_else() -> None:
    reached: dict[tuple[str, int], set[str]] = defaultdict(set)
    for policy in of_kind(WHOLE, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                callers = [chosen_by(peer["podSelector"]) for peer in rule.get("from", []) if "podSelector" in peer]
                for target in chosen_by(policy["spec"]["podSelector"]):
                    reached[target, port["port"]] |= set().union(*callers)
    assert reached["mezcal-redis", 6379] == set(ROLES)
    closed = next(p for p in of_kind(WHOLE, "NetworkPolicy") if p["metadata"]["name"] == "mezcal")
    assert chosen_by(closed["spec"]["podSelector"]) == set(PODS)
    assert "ingress" not in closed["spec"]


def test_each_port_that_somebody_calls_is_open() -> None:
    opened = {
        (target, port["port"])
        for policy in of_kind(WHOLE, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        for port in rule["ports"]
        for target in chosen_by(policy["spec"]["podSelector"])
    }
    for name, pod in PODS.items():
        ports = [port["containerPort"] for part in containers(pod) for port in part.get("ports", [])]
        assert {(name, port) for port in ports} <= opened | {("mezcal-flower", 5555)}, name


@pytest.mark.parametrize("name", ["api", "interactive", "bulk", "front"])
def test_a_node_may_be_emptied_and_takes_one_pod_at_a_time(name: str) -> None:
    budgets = {made["metadata"]["name"]: made["spec"] for made in of_kind(WHOLE, "PodDisruptionBudget")}
    budget = budgets[f"mezcal-{name}"]
    assert chosen_by(budget["selector"]) == {f"mezcal-{name}"}
    assert budget["maxUnavailable"] == 1, "minAvailable: 1 would keep a node for ever if there is one pod"
    spread = PODS[f"mezcal-{name}"]["spec"]["topologySpreadConstraints"]
    assert {rule["topologyKey"] for rule in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(chosen_by(rule["labelSelector"]) == {f"mezcal-{name}"} for rule in spread)


def test_services_find_their_pods_and_ports() -> None:
    for service in of_kind(WHOLE, "Service"):
        (pod,) = chosen_by({"matchLabels": service["spec"]["selector"]})
        named = {port["name"] for part in containers(PODS[pod]) for port in part.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


@pytest.mark.parametrize("name", PODS)
def test_no_pod_may_talk_to_kubernetes(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["serviceAccountName"] == "mezcal"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "variables such as MEZCAL_PORT would be taken for settings"
