"""Events of repositories: what each producer's body means, and that none does anything else than that."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mezcal.errors import BadEvent
from mezcal.ingest.events import READERS, Event, EventIgnored, EventKind, MasterResolver, read
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from tests import DATA

SAMPLES = DATA / "webhooks"
PAGE1 = "http://fcrepo.example/rest/dc/2026/1/page1.tif"
KEY = ["masters", "dc/2026/page one(2).tif"]
MASTERS: dict[str, tuple[str, list[Event]]] = {
    "fcrepo6_as2": ("fedora", [Event(EventKind.CHANGED, "url", PAGE1)]),
    "fcrepo_camel_http_forwarding": ("fedora", [Event(EventKind.CHANGED, "url", PAGE1)]),
    "islandora_alpaca_derivative": (
        "fedora",
        [Event(EventKind.CHANGED, "url", "http://drupal.example/_flysystem/fedora/2026-11/page1.tif")],
    ),
    "iiif_discovery_collection": ("fedora", []),
    "iiif_discovery_page": ("fedora", []),
    "s3_event": ("s3", [Event(EventKind.CHANGED, "object", KEY)]),
    "s3_test_event": ("s3", []),
    "minio_event": ("s3", [Event(EventKind.CHANGED, "object", KEY)]),
    "sns_envelope": ("s3", [Event(EventKind.CHANGED, "object", KEY)]),
    "eventbridge_s3": ("s3", [Event(EventKind.CHANGED, "object", KEY)]),
    "cloudevents_structured": ("cloudevents", [Event(EventKind.CHANGED, "path", "dc/2026/1/page1.tif")]),
    "standard_webhooks_own": (
        "standard",
        [
            Event(EventKind.CHANGED, "path", "dc/2026/1/page1.tif"),
            Event(EventKind.CHANGED, "url", "http://fcrepo.example/rest/dc/2026/1/page2.tif"),
        ],
    ),
}
SETTINGS: dict[str, Any] = {
    "_env_file": None,
    "repo_base_url": "https://repo.example/rest",
    "webhook_base_urls": "http://fcrepo.example/rest",
    "webhook_buckets": "masters,scans/2026/",
}


def hearing(**given: Any) -> MasterResolver:
    """Returns the resolver of an installation."""
    found = load(**SETTINGS | given)
    return MasterResolver(found, open_origin(found))


EVERYTHING = hearing()


def sample(name: str, **changes: Any) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text()) | changes


def events(format_name: str, body: Any, **headers: str) -> list[Event]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read(format_name, json.dumps(body).encode(), named).events


@pytest.mark.parametrize("name", MASTERS)
def test_every_sample_means_what_its_producer_means(name: str) -> None:
    format_name, wanted = MASTERS[name]
    delivery = read(format_name, (SAMPLES / f"{name}.json").read_bytes(), {})
    assert delivery.events == wanted
    assert bool(delivery.note) == (not wanted), "ignored, with a reason"


def test_every_sample_is_read_by_a_test() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == {*MASTERS, "signature_vectors"}


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (["Create"], EventKind.CREATED),
        (["Update"], EventKind.CHANGED),
        (["Delete"], EventKind.DELETED),
        (["Purge"], EventKind.DELETED),
        (["Create", "Update"], EventKind.CHANGED),
        (["Update", "Delete"], EventKind.DELETED),
        ("https://www.w3.org/ns/activitystreams#Delete", EventKind.DELETED),
        (["http://fedora.info/definitions/v4/event#ResourceModification"], EventKind.CHANGED),
    ],
)
def test_the_activities_of_fedora(types: Any, kind: EventKind) -> None:
    assert events("fedora", sample("fcrepo6_as2", type=types)) == [Event(kind, "url", PAGE1)]


@pytest.mark.parametrize(
    "about",
    [
        {"id": "http://fcrepo.example/rest/dc", "type": ["http://fedora.info/definitions/v4/repository#Container",
                                                         "http://fedora.info/definitions/v4/repository#Resource"]},
        {"id": PAGE1 + "/fcr:metadata", "type": ["http://fedora.info/definitions/v4/repository#Resource"]},
        {"id": PAGE1 + "/fcr:metadata"},
    ],
)  # fmt: skip
def test_containers_and_descriptions_are_no_masters(about: dict[str, Any]) -> None:
    assert events("fedora", sample("fcrepo6_as2", object=about)) == []
    assert events("fedora", sample("fcrepo_camel_http_forwarding", id=PAGE1 + "/fcr:metadata")) == []


def test_a_move_leaves_one_place_and_comes_to_another() -> None:
    body = {"type": "Move", "object": PAGE1, "origin": PAGE1, "target": {"id": PAGE1 + "f"}}
    assert events("fedora", body) == [
        Event(EventKind.DELETED, "url", PAGE1),
        Event(EventKind.CHANGED, "url", PAGE1 + "f"),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:Put", EventKind.CHANGED),
        ("s3:ObjectCreated:CompleteMultipartUpload", EventKind.CHANGED),
        ("ObjectRemoved:Delete", EventKind.DELETED),
        ("s3:ObjectRemoved:DeleteMarkerCreated", EventKind.DELETED),
        ("LifecycleExpiration:Delete", EventKind.DELETED),
        ("ObjectRestore:Completed", EventKind.CREATED),
        ("s3:ObjectAccessed:Get", None),
        ("ReducedRedundancyLostObject", None),
    ],
)
def test_the_events_of_object_stores(name: str, kind: EventKind | None) -> None:
    body = sample("s3_event")
    body["Records"][0]["eventName"] = name
    assert events("s3", body) == ([Event(kind, "object", KEY)] if kind else [])


def test_eventbridge_tells_of_deletions_and_does_not_encode_keys() -> None:
    body = sample("eventbridge_s3", **{"detail-type": "Object Deleted"})
    body["detail"]["object"]["key"] = "a+b%20c.tif"
    assert events("s3", body) == [Event(EventKind.DELETED, "object", ["masters", "a+b%20c.tif"])]


def test_folders_of_an_object_store_are_no_masters() -> None:
    body = sample("s3_event")
    body["Records"][0]["s3"]["object"]["key"] = "dc/"
    assert events("s3", body) == []


def test_no_url_of_a_topic_is_fetched_and_the_log_has_what_an_operator_needs(caplog: pytest.LogCaptureFixture) -> None:
    wanted = {"Type": "SubscriptionConfirmation", "Token": "t0ken", "SubscribeURL": "http://169.254.169.254/\nx"}
    delivery = read("s3", json.dumps(sample("sns_envelope", **wanted)).encode(), {})
    assert delivery.events == []
    assert delivery.note
    assert "fetches no URL" in delivery.note
    assert "t0ken" in caplog.text
    assert "arn:aws:sns:us-east-1:1:t" in caplog.text
    assert "169.254" not in caplog.text


def test_an_envelope_in_an_envelope_is_refused() -> None:
    inner = json.dumps(sample("sns_envelope"))
    with pytest.raises(BadEvent):
        events("s3", sample("sns_envelope", Message=inner))


@pytest.mark.parametrize(("word", "kind"), [("created", "created"), ("updated", "changed"), ("deleted", "deleted")])
def test_cloudevents_in_their_three_forms(word: str, kind: str) -> None:
    wanted = [Event(EventKind(kind), "path", "dc/1.tif")]
    head = {"specversion": "1.0", "id": "1", "source": "/r", "type": f"org.example.image.{word}"}
    data = {"path": "dc/1.tif"}
    assert events("cloudevents", head | {"data": data}) == wanted
    assert events("cloudevents", [head | {"data": data}] * 2) == wanted * 2
    assert events("cloudevents", head | {"subject": "dc/1.tif"}) == wanted
    packed = base64.b64encode(json.dumps(data).encode()).decode()
    assert events("cloudevents", head | {"data_base64": packed}) == wanted
    binary = {f"ce-{name}": value for name, value in head.items()}
    assert read("cloudevents", json.dumps(data).encode(), binary).events == wanted
    assert read("cloudevents", b"", binary | {"ce-subject": "dc%2F1.tif"}).events == wanted


def test_our_own_form_takes_one_or_many() -> None:
    items = [{"path": "a.tif"}, {"url": "https://repo.example/rest/b.tif"}, {"frame": 7}, "c.tif"]
    wanted = [("path", "a.tif"), ("url", "https://repo.example/rest/b.tif"), ("frame", 7), ("path", "c.tif")]
    for data in (items, {"items": items}):
        found = events("standard", {"type": "master.created", "data": data})
        assert [(event.named_by, event.name) for event in found] == wanted
        assert {event.kind for event in found} == {EventKind.CREATED}
    assert events("standard", {"type": "master.deleted", "data": items[0]}) == [
        Event(EventKind.DELETED, "path", "a.tif")
    ]
    assert events("standard", [{"type": "master.deleted", "data": "a"}, {"type": "user.created", "data": "b"}]) == [
        Event(EventKind.DELETED, "path", "a")
    ]


# --- which URLs are masters of this installation


@pytest.fixture(scope="module")
def masters() -> MasterResolver:
    return hearing(webhook_paths="dc/*,*.tif")


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (Event(EventKind.CHANGED, "path", "dc/1"), "dc/1"),
        (Event(EventKind.CHANGED, "url", "https://repo.example/rest/dc/a%20b.tif"), "dc/a b.tif"),
        (Event(EventKind.CHANGED, "url", "http://fcrepo.example/rest/dc/1"), "dc/1"),
        (Event(EventKind.CHANGED, "object", ["masters", "dc/1"]), "dc/1"),
        (Event(EventKind.CHANGED, "object", ["scans", "2026/x.tif"]), "x.tif"),
        (Event(EventKind.CHANGED, "path", "dc/1", "image/tiff; charset=x"), "dc/1"),
        (Event(EventKind.CHANGED, "path", "dc/raw.bin", "application/octet-stream"), "dc/raw.bin"),
        (Event(EventKind.DELETED, "path", "dc/report.pdf"), "dc/report.pdf"),
        (Event(EventKind.WANTED, "path", "elsewhere/report.pdf"), "elsewhere/report.pdf"),
    ],
)
def test_what_is_ours_is_known_by_all_its_names(masters: MasterResolver, event: Event, path: str) -> None:
    assert masters.resolve(event).label == path


@pytest.mark.parametrize(
    "event",
    [
        Event(EventKind.CHANGED, "path", "elsewhere/1"),
        Event(EventKind.CHANGED, "path", "../dc/1.tif"),
        Event(EventKind.CHANGED, "path", "/etc/1.tif"),
        Event(EventKind.CHANGED, "path", "dc/\x001.tif"),
        Event(EventKind.CHANGED, "path", "dc/\ud800.tif"),
        Event(EventKind.CHANGED, "path", 7),
        Event(EventKind.CHANGED, "path", None),
        Event(EventKind.CHANGED, "url", "https://evil.example/rest/dc/1.tif"),
        Event(EventKind.CHANGED, "url", "https://repo.example/other/dc/1.tif"),
        Event(EventKind.CHANGED, "url", "https://repo.example/rest/%2e%2e/secret.tif"),
        Event(EventKind.CHANGED, "url", "https://repo.example@evil.example/rest/dc/1.tif"),
        Event(EventKind.CHANGED, "url", "file:///etc/1.tif"),
        Event(EventKind.CHANGED, "url", "http://["),
        Event(EventKind.CHANGED, "url", ["x"]),
        Event(EventKind.CHANGED, "object", ["others", "dc/1.tif"]),
        Event(EventKind.CHANGED, "object", ["scans", "2025/x.tif"]),
        Event(EventKind.CHANGED, "path", "dc/report.pdf"),
        Event(EventKind.CHANGED, "path", "dc/notes.xml"),
        Event(EventKind.CHANGED, "path", "dc/film.mp4"),
        Event(EventKind.CHANGED, "path", "dc/1", "text/html"),
        Event(EventKind.CHANGED, "recipe", "x"),
        Event(EventKind.CHANGED, "recipe", {"kind": "x"}),
    ],
)
def test_what_is_not_ours_or_no_image_is_ignored(masters: MasterResolver, event: Event) -> None:
    with pytest.raises(EventIgnored):
        masters.resolve(event)


def test_an_object_of_the_bucket_of_the_masters_needs_no_setting() -> None:
    own = hearing(repo_base_url="s3://masters/a%20prefix", webhook_buckets="")
    changed = Event(EventKind.CHANGED, "object", ["masters", "a prefix/dc/1+2.tif"])
    assert own.resolve(changed) == Mezzanine("dc/1+2.tif")
    named = Event(EventKind.CHANGED, "url", "s3://masters/a%20prefix/dc/1%2B2.tif")
    assert own.resolve(named) == Mezzanine("dc/1+2.tif")
    for elsewhere in (["masters", "dc/1.tif"], ["others", "a prefix/dc/1.tif"]):
        with pytest.raises(EventIgnored, match="neither below REPO_BASE_URL nor in WEBHOOK_BUCKETS"):
            own.resolve(Event(EventKind.CHANGED, "object", elsewhere))


def test_without_configured_buckets_no_object_is_ours() -> None:
    unset = hearing(repo_base_url="https://masters.s3.example/", webhook_buckets="")
    with pytest.raises(EventIgnored, match="WEBHOOK_BUCKETS"):
        unset.resolve(Event(EventKind.CHANGED, "object", ["masters", "a.tif"]))


# --- anything

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(
    ["type", "data", "items", "path", "url", "frame", "page", "object", "id", "attachment", "content", "source_uri",
     "Records", "eventName", "s3", "bucket", "name", "key", "detail", "detail-type", "Type", "TopicArn", "Message",
     "specversion", "source", "subject", "data_base64", "origin", "target", "mediaType", "contentType"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["Create", "Delete", "Move", "Activity", "OrderedCollection", "master.updated", "image.deleted",
     "ObjectCreated:Put", "1.0", "Object Created", "Notification", "SubscriptionConfirmation", "{}", "[]", "e30=",
     PAGE1]
)  # fmt: skip
LIKELY = st.recursive(
    JSON | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner | VALUES, max_size=6),
    max_leaves=20,
)


@given(body=LIKELY, format_name=st.sampled_from(sorted(READERS)))
def test_any_json_is_understood_or_refused(body: Any, format_name: str) -> None:
    understood(format_name, json.dumps(body).encode(), {})


@given(name=st.sampled_from(sorted(MASTERS)), data=st.data(), value=LIKELY)
def test_any_part_of_a_sample_may_be_anything(name: str, data: st.DataObject, value: Any) -> None:
    body = sample(name)
    place = body
    while True:
        steps = list(place) if isinstance(place, dict) else list(range(len(place)))
        step = data.draw(st.sampled_from(steps))
        inner = place[step]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[step] = value
    understood(MASTERS[name][0], json.dumps(body).encode(), {})


@given(body=st.binary(max_size=200), format_name=st.sampled_from(sorted(READERS)))
def test_any_bytes_are_understood_or_refused(body: bytes, format_name: str) -> None:
    understood(format_name, body, {"ce-specversion": "1.0", "ce-type": "a.deleted", "ce-id": "1", "ce-source": "x"})
    understood(format_name, body, {})


def understood(format_name: str, body: bytes, headers: dict[str, str]) -> None:
    """Read and look up, as the API and a worker do; nothing but the refusals of both may come of it."""
    try:
        delivery = read(format_name, body, headers)
    except BadEvent:
        return
    for item in json.loads(json.dumps(delivery.events)):
        event = Event(EventKind(item[0]), *item[1:])
        if event.named_by == "frame":
            continue
        try:
            recipe = EVERYTHING.resolve(event)
        except EventIgnored:
            continue
        assert ".." not in recipe.label.split("/")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[NaN]",
        b'{"type": Infinity}',
        b"9" * 100_000,
        b'"\xff\xfe"',
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"null",
        b"true",
        b'"text"',
        b"{}",
        b"[[]]",
        b'{"type": null}',
        b'{"type": "master.updated"}',
        b'{"type": "master.updated", "data": {"path\\u0000": 1}}',
        b'{"type": "master.updated", "data": [[["x"]]]}',
        b'{"type": "master.updated", "data": {"path": ' + b"[" * 500 + b"]" * 500 + b"}}",
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(BadEvent) as refused:
        read("standard", body, {})
    assert 0 < len(refused.value.detail) <= 200
