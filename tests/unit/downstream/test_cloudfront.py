"""CloudFront, scripted: what botocore sends is what the API documents."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.downstream.cloudfront import PATHS_MAX, CloudFrontHook
from mezcal.downstream.hooks import HookFailed
from mezcal.jobs.bulk.downstream import Change
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from tests.support.hook_server import HookServer, hook_server

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED = b"""<Invalidation xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Id>I1</Id><Status>InProgress</Status>
<CreateTime>2026-11-29T00:00:00Z</CreateTime></Invalidation>"""
TOO_MANY = b"""<ErrorResponse xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Error><Type>Sender</Type>
<Code>TooManyInvalidationsInProgress</Code><Message>too many</Message></Error></ErrorResponse>"""


@pytest.fixture
def cloudfront() -> Iterator[HookServer]:
    with hook_server() as server:
        server.status, server.answer = 201, CREATED
        yield server


def hook(server: HookServer, options: str = "") -> CloudFrontHook:
    url = f"cloudfront://E2EXAMPLE?endpoint=http://{server.host}{options}"
    given: dict[str, Any] = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "downstream_urls": url}
    settings = load(_env_file=None, **given)
    return CloudFrontHook(settings.hooks[0], settings)


def changes(count: int) -> list[Change]:
    return [Change(f"{n:032x}", Mezzanine(f"ä(1)/{n}.tif"), "1-a", time.time(), 0) for n in range(count)]


def paths(server: HookServer) -> list[str]:
    return re.findall(r"<Path>([^<]*)</Path>", server.told[-1].body.decode())


def test_many_changes_are_one_invalidation_within_the_limit(cloudfront: HookServer) -> None:
    told = hook(cloudfront)
    told.notify(changes(told.most))
    assert cloudfront.told[0].target == "/2020-05-31/distribution/E2EXAMPLE/invalidation"
    assert len(paths(cloudfront)) == told.most * 6 <= PATHS_MAX
    assert "/images/%C3%A4%281%29/0.tif" in paths(cloudfront)
    assert f"<Quantity>{told.most * 6}</Quantity>" in cloudfront.told[0].body.decode()


def test_a_template_names_what_lies_behind_an_image_server(cloudfront: HookServer) -> None:
    hook(cloudfront, "&path=/iiif/3/{identifier}/*").notify(changes(2))
    assert paths(cloudfront) == ["/iiif/3/%C3%A4%281%29%2F0.tif/*", "/iiif/3/%C3%A4%281%29%2F1.tif/*"]


def test_a_repeated_delivery_is_the_same_invalidation(cloudfront: HookServer) -> None:
    for _ in range(2):
        hook(cloudfront).notify(changes(3))
    first, second = (re.findall(r"<CallerReference>([^<]*)<", told.body.decode()) for told in cloudfront.told)
    assert first == second


def test_a_distribution_that_is_busy_is_told_later(cloudfront: HookServer) -> None:
    cloudfront.status, cloudfront.answer = 400, TOO_MANY
    with pytest.raises(HookFailed, match="answered TooManyInvalidationsInProgress") as refused:
        hook(cloudfront).notify(changes(1))
    assert refused.value.unreachable, "the others wait, too"


def test_a_check_only_asks(cloudfront: HookServer) -> None:
    cloudfront.status = 200
    cloudfront.answer = b"""<InvalidationList xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Marker/>
    <MaxItems>1</MaxItems><IsTruncated>false</IsTruncated><Quantity>0</Quantity></InvalidationList>"""
    assert hook(cloudfront).probe() == "cloudfront E2EXAMPLE answers"
    assert [told.method for told in cloudfront.told] == ["GET"]
