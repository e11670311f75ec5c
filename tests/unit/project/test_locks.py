"""The lock files name a wheel of every package for amd64 and for arm64. No network is needed to tell."""

from __future__ import annotations

import re

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from tests import ROOT
from tools.release.wheels import ENVIRONMENT, HEAD, MACHINES, SOURCE, best_wheel

LOCK = (ROOT / "requirements/run.txt").read_text()
LIST = (ROOT / "requirements/wheels.txt").read_text()
PINNED = re.compile(r"^([a-z0-9][\w.-]*==\S+)(?: ; (.*?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)
NAMED = re.compile(r"^(\S+==\S+) (amd64|arm64) (\S+) (sha256:[0-9a-f]{64})$", re.MULTILINE)
OUR_SOURCES = {"pyvips"}  # Python alone: the Dockerfile names it as --no-binary


def pinned() -> dict[str, set[str]]:
    """Returns the hashes of each package that the image installs."""
    return {
        name: set(re.findall(r"--hash=(\S+)", hashes))
        for name, marker, hashes in PINNED.findall(LOCK)
        if not marker or Marker(marker).evaluate(dict(ENVIRONMENT))
    }


@pytest.mark.parametrize("machine", MACHINES)
def test_every_locked_package_has_a_wheel_for_the_machine(machine: str) -> None:
    listed = {name: (file, digest) for name, found, file, digest in NAMED.findall(LIST) if found == machine}
    assert listed.keys() == pinned().keys(), "the lock has changed: run `make lock` and commit the result"
    for name, (file, digest) in listed.items():
        assert digest in pinned()[name], f"{name}: the wheel for {machine} is not in the lock"
        if name.split("==")[0] not in OUR_SOURCES:
            assert best_wheel([file], MACHINES[machine]) == file, f"{file} does not run on {machine}"
            assert canonicalize_name(file.split("-")[0]) == canonicalize_name(name.split("==")[0])


def test_what_is_built_from_source_is_named_in_the_dockerfile() -> None:
    built = {name.split("==")[0] for name, _, file, _ in NAMED.findall(LIST) if file == SOURCE}
    assert built == OUR_SOURCES
    named = re.search(r"--no-binary=(\S+)", (ROOT / "Dockerfile").read_text())
    assert named is not None
    assert set(named[1].split(",")) == built


def test_the_list_has_no_other_lines() -> None:
    assert LIST.count("\n") == HEAD.count("\n") + len(NAMED.findall(LIST))


def test_a_wheel_of_another_machine_or_libc_is_not_taken() -> None:
    names = ["a-1-cp311-cp311-musllinux_1_2_aarch64.whl", "a-1-cp311-cp311-manylinux_2_28_x86_64.whl"]
    assert best_wheel(names, "aarch64") is None
    assert best_wheel(names, "x86_64") == names[1]
