"""Writes what a release was built from: an in-toto statement with a SLSA provenance predicate, not signed."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:mezcal:make-release:1"
BUILDER = "urn:mezcal:workstation"  # a build service that signs has an address of its own here
LOCKS = ("requirements/run.txt", "requirements/build.in")


def write_provenance(target: Path, files: Iterable[Path], began: datetime) -> Path:
    """Write the statement about *files*, whose build began at *began*. Returns *target*."""
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": file.name, "digest": {"sha256": sha256(file)}} for file in files],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": _definition(),
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"python": platform.python_version()}},
                "metadata": {"startedOn": _time(began), "finishedOn": _time(datetime.now(UTC))},
            },
        },
    }
    target.write_text(json.dumps(statement, indent=2) + "\n", encoding="utf-8")
    return target


def _definition() -> dict[str, Any]:
    commit = _git("rev-parse", "HEAD")
    locks = [{"uri": f"file:{name}", "digest": {"sha256": sha256(Path(name))}} for name in LOCKS]
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {"command": "make release", "commit": commit},
        "internalParameters": {"SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct")},
        "resolvedDependencies": [
            {"uri": "git+file:.", "digest": {"gitCommit": commit}},
            {"uri": f"pkg:pypi/setuptools@{metadata.version('setuptools')}"},
            *locks,
        ],
    }


def sha256(file: Path) -> str:
    """Returns the SHA-256 of *file* in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607
