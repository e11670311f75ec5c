"""`kubectl kustomize` renders each overlay, also with every option, and Kubernetes' schemas accept the result."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

from tests import ROOT
from tests.support.kubernetes import (
    FOLDER,
    OPTIONS,
    OVERLAYS,
    comparable,
    containers,
    objects,
    of_kind,
    pods,
    programs,
    rendered,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not programs(), reason="needs kubectl: Debian's kubernetes-client, or KUBECTL")

VERSIONS = ("1.27", "1.31", "1.34", "1.37")
CUSTOM = ("keda.sh/", "monitoring.coreos.com/", "gateway.networking.k8s.io/")  # kinds whose schemas Kubernetes lacks


@pytest.fixture(params=programs())
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """An overlay of one's own: that for a shared file system, with all options but those that exclude each other."""
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes/overlays/mine"
    folder.mkdir()
    options = [option for option in OPTIONS if option != "keda-redis"]
    bases = ["../shared", *(f"../../options/{option}" for option in options)]
    lines = [
        "kind: Kustomization",
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "bases:",
        *(f"- {base}" for base in bases),
    ]
    (folder / "kustomization.yaml").write_text("\n".join(lines))
    return folder


def check_by_schema(made: list[dict[str, Any]], version: str) -> None:
    for thing in made:
        if not thing["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(thing, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_schemas_of_kubernetes_accept_an_overlay(overlay: str, version: str, program: str) -> None:
    made = objects(rendered(FOLDER / "overlays" / overlay, program))
    check_by_schema(made, version)
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in made]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_accept_an_overlay_with_every_option(everything: Path, version: str, program: str) -> None:
    made = objects(rendered(everything, program))
    check_by_schema(made, version)
    assert {"ScaledObject", "ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute"} <= {m["kind"] for m in made}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_volume_and_each_map_that_a_pod_names_is_rendered(overlay: str, program: str) -> None:
    made = objects(rendered(FOLDER / "overlays" / overlay, program))
    maps = {thing["metadata"]["name"] for thing in of_kind(made, "ConfigMap")}
    claims = {thing["metadata"]["name"] for thing in of_kind(made, "PersistentVolumeClaim")}
    for name, pod in pods(made):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for volume in volumes.values():
            assert len(volume) == 2, (name, volume)
            assert volume.get("configMap", {"name": ""})["name"] in {"", *maps}
            assert volume.get("persistentVolumeClaim", {"claimName": ""})["claimName"] in {"", *claims}
        for part in containers(pod):
            assert {source["configMapRef"]["name"] for source in part.get("envFrom", [])} <= maps
            assert {mount["name"] for mount in part["volumeMounts"]} <= {"data", *volumes}


def callers_of(made: list[dict[str, Any]], port: int) -> list[Any]:
    """Returns who may call *port* of the entry: the labels of pods or of namespaces, None for anyone."""
    (entry,) = [policy for policy in of_kind(made, "NetworkPolicy") if policy["metadata"]["name"] == "mezcal-entry"]
    rules = [rule for rule in entry["spec"]["ingress"] if port in {opened["port"] for opened in rule["ports"]}]
    return [
        next(iter(peer.values()))["matchLabels"] if peer else None
        for rule in rules
        for peer in rule.get("from", [None])
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_api_that_believes_its_proxy_is_reached_by_nginx_and_monitoring_alone(overlay: str, program: str) -> None:
    """With SENDFILE_HEADER the API believes X-Forwarded-For of whoever connects to it."""
    made = objects(rendered(FOLDER / "overlays" / overlay, program))
    (api,) = [part for part in dict(pods(made))["mezcal-api"]["spec"]["containers"] if part["name"] == "api"]
    behind_nginx = "SENDFILE_HEADER" in {variable["name"] for variable in api.get("env", [])}
    assert behind_nginx == (overlay != "s3")
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    front = {"app.kubernetes.io/name": "mezcal", "app.kubernetes.io/component": "front"}
    allowed = {"one-node": [monitoring], "shared": [monitoring], "shared-front": [front, monitoring], "s3": [None]}
    assert callers_of(made, 5000) == allowed[overlay]
    assert callers_of(made, 8080) == [None]
    assert behind_nginx != ("TRUSTED_PROXIES" in str(made)), "a pod of that network could name its client to nginx"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_names_the_registry_for_every_image_of_ours(overlay: str, program: str) -> None:
    made = objects(rendered(FOLDER / "overlays" / overlay, program))
    images = {part["image"] for _, pod in pods(made) for part in containers(pod)}
    assert not [image for image in images if image.startswith("mezcal")]
    assert sum("/mezcal:" in image for image in images) == 1


@pytest.mark.parametrize("overlay", [*OVERLAYS, "everything"])
@pytest.mark.skipif(len(programs()) < 2, reason="KUBECTL names no second version")
def test_old_and_new_versions_render_the_same(overlay: str, everything: Path) -> None:
    folder = everything if overlay == "everything" else FOLDER / "overlays" / overlay
    first, *others = (comparable(rendered(folder, program)) for program in programs())
    for other in others:
        assert other == first


def test_a_changed_setting_replaces_the_pods(everything: Path, program: str) -> None:
    """The name of a ConfigMap has the hash of its content."""
    file = everything.parent / "shared/kustomization.yaml"
    before = dict(pods(objects(rendered(everything, program))))
    rendered.cache_clear()
    file.write_text(file.read_text().replace("repository.example.edu", "other.example.edu"))
    after = dict(pods(objects(rendered(everything, program))))
    assert {name for name in before if before[name] != after[name]} >= {"mezcal-api", "mezcal-bulk", "mezcal-beat"}
    assert before["mezcal-redis"] == after["mezcal-redis"]


def test_a_redis_of_ones_own_takes_the_place_of_ours(everything: Path, program: str) -> None:
    """The example of docs/deployment.md."""
    page = (ROOT / "docs/deployment.md").read_text()
    example = page.partition("# kustomization.yaml\n")[2].partition("```")[0]
    settings, _, patch = example.partition("---\n# no-redis.yaml\n")
    (everything / "no-redis.yaml").write_text(patch)
    file = everything / "kustomization.yaml"
    file.write_text(f"{file.read_text()}\n{settings}")
    rendered.cache_clear()
    made = objects(rendered(everything, program))
    assert of_kind(made, "StatefulSet") == []
    urls = [thing["data"]["REDIS_URL"] for thing in of_kind(made, "ConfigMap") if "REDIS_URL" in thing["data"]]
    assert urls == ["rediss://redis.example.edu:6380/0"]
