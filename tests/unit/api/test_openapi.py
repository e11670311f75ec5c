"""The description of the HTTP interface against the routes, the failures and the states that the code has."""

from __future__ import annotations

import re

import pytest

from api import create_app
from api.openapi import document
from mezcal.errors import kinds
from mezcal.ingest.events import READERS
from mezcal.jobs import JobState, Lane
from mezcal.settings import load


def routes(**given: str) -> dict[str, set[str]]:
    base = {"redis_url": "redis://127.0.0.1:1/0", "repo_base_url": "http://127.0.0.1:1/", "url_secret": "ours"}
    found: dict[str, set[str]] = {}
    for rule in create_app(load(_env_file=None, **base, **given)).url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        path = re.sub(r"^/{(frame_id|basename)}/$", "/{frame}/", path)  # one template for both routes
        found.setdefault(path, set()).update(method.lower() for method in rule.methods or () if method != "OPTIONS")
    return found


@pytest.mark.parametrize(
    ("archive", "given"), [(False, {}), (True, {"archive_api_url": "http://127.0.0.1:1/", "signing_key": "k" * 32})]
)
def test_every_route_is_described_and_every_described_route_exists(archive: bool, given: dict[str, str]) -> None:
    described = {path: set(item) - {"parameters"} for path, item in document(archive=archive)["paths"].items()}
    assert described == routes(**given)


def test_every_status_that_making_an_image_can_end_with_is_described() -> None:
    described = {int(status) for status in document(archive=False)["paths"]["/images/{source}"]["get"]["responses"]}
    assert {kind.status for kind in kinds()} <= described


def test_every_path_describes_its_parameters() -> None:
    described = document(archive=True)
    shared = described["components"]["parameters"]
    for path, item in described["paths"].items():
        given = [shared.get(part.get("$ref", "").rpartition("/")[2], part) for part in item.get("parameters", [])]
        names = {parameter["name"] for parameter in given if parameter["in"] == "path"}
        assert names == set(re.findall(r"{(\w+)}", path))


def test_head_is_described_like_get() -> None:
    for path, item in document(archive=True)["paths"].items():
        assert item.get("head") == item.get("get"), path


def test_the_described_values_are_those_that_the_code_has() -> None:
    described = document(archive=True)
    job = described["components"]["schemas"]["Job"]["properties"]
    assert job["state"]["enum"] == [str(state) for state in JobState]
    assert set(job["lane"]["enum"]) == {str(lane) for lane in Lane}
    (format_name,) = described["paths"]["/webhooks/{format_name}"]["parameters"]
    assert format_name["schema"]["enum"] == list(READERS)


def test_every_reference_leads_to_a_component_and_every_component_is_used() -> None:
    described = document(archive=True)
    used = set(re.findall(r"'#/components/(\w+/\w+)'", str(described)))
    components = described["components"]
    defined = {f"{kind}/{name}" for kind in components if kind != "securitySchemes" for name in components[kind]}
    assert used == defined
