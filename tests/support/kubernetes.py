"""The manifests of `deploy/kubernetes` as objects: each file, and each overlay as `kubectl kustomize` renders it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = ("one-node", "shared", "shared-front", "s3")
OPTIONS = ("listen", "flower", "ingress", "http-route", "hpa", "keda", "keda-redis", "monitoring")
KUBECTL = "KUBECTL"  # variable: kubectl by its path, or several with commas between
WITH_PODS = {"Deployment", "StatefulSet"}
HASH = re.compile(r"-[a-z0-9]{10}$")  # at the end of a ConfigMap's name: each version of kustomize has its own

Manifest = dict[str, Any]


def programs() -> list[str]:
    """Returns the paths of the versions of kubectl that are to render the overlays; none if there is none."""
    named = [path for path in os.environ.get(KUBECTL, "").split(",") if path]
    found = shutil.which("kubectl")
    return named or ([found] if found else [])


@cache
def rendered(folder: Path, program: str) -> str:
    """Returns what *program* renders of *folder*."""
    asked = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


def objects(text: str) -> list[Manifest]:
    """Returns the objects of a stream of YAML documents."""
    return [made for made in yaml.load_all(text, yaml.CSafeLoader) if made]


def of_kind(made: list[Manifest], *kinds: str) -> list[Manifest]:
    """Returns the objects of these kinds."""
    return [thing for thing in made if thing["kind"] in kinds]


def pods(made: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yields the name of each Deployment or StatefulSet, with the template of its pods."""
    for thing in of_kind(made, *WITH_PODS):
        yield thing["metadata"]["name"], thing["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    """Returns the containers of a pod, with those that run before them."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def comparable(text: str) -> dict[tuple[str, str], Any]:
    """Returns the rendered objects by kind and name, without what differs between versions and means nothing.

    These are the order of named parts, empty labels and annotations, and the hashes of ConfigMaps.
    """
    made = [_plain(thing) for thing in objects(text)]
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in made}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if not (key in ("annotations", "labels") and not inner)}
    if isinstance(value, list):
        parts = [_plain(inner) for inner in value]
        named = all(isinstance(part, dict) and "name" in part for part in parts)
        return sorted(parts, key=lambda part: str(part["name"])) if named else parts
    return HASH.sub("", value) if isinstance(value, str) and value.startswith("mezcal") else value
