"""The description of the API against its routes."""

from __future__ import annotations

import re

import pytest

from api import create_app
from api.openapi import document
from mezcal.errors import kinds
from mezcal.settings import load


def routes(**given: str) -> dict[str, set[str]]:
    base = {"redis_url": "redis://127.0.0.1:1/0", "repo_base_url": "http://127.0.0.1:1/"}
    found: dict[str, set[str]] = {}
    for rule in create_app(load(_env_file=None, **base, **given)).url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        path = re.sub(r"^/{(frame_id|basename)}/$", "/{frame}/", path)  # one template, whatever stands there
        found.setdefault(path, set()).update(method.lower() for method in rule.methods or () if method != "OPTIONS")
    return found


@pytest.mark.parametrize(
    ("archive", "given"), [(False, {}), (True, {"archive_api_url": "http://127.0.0.1:1/", "signing_key": "k" * 32})]
)
def test_every_route_is_described_and_every_description_has_its_route(archive: bool, given: dict[str, str]) -> None:
    described = {path: set(item) - {"parameters"} for path, item in document(archive)["paths"].items()}
    assert described == routes(**given)


def test_what_making_an_image_can_end_in_is_told() -> None:
    told = {int(code) for code in document(False)["paths"]["/images/{source}"]["get"]["responses"]}
    assert {kind.status for kind in kinds()} <= told


def test_every_path_names_its_parameters() -> None:
    for path, item in document(False)["paths"].items():
        named = {parameter["name"] for parameter in item.get("parameters", []) if parameter["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
