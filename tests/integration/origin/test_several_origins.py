"""Several origins as one: each path has its origin, and no credential of one reaches another."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.errors import Failure, MasterMissing, OriginRedirectRefused, OriginUnknown
from mezcal.ingest.events import MasterResolver
from mezcal.ingest.events.event import OBJECT, URL, Event, EventKind
from mezcal.ingest.events.masters import EventIgnored
from mezcal.ingest.manifests import Skipped
from mezcal.ingest.manifests.paths import ManifestPaths
from mezcal.ingest.manifests.presentation import ManifestImage
from mezcal.ingest.names import MasterNames
from mezcal.origin import MasterStatus, Origin, OriginMember, open_origin
from mezcal.origin.several import OriginRouter
from mezcal.recipe import Mezzanine
from mezcal.settings import Settings, load
from mezcal.telemetry.redaction import Redactor
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OF_A, OF_B, OF_FOLDER = os.urandom(300), os.urandom(300), os.urandom(300)
SECRETS = {"a": "token-of-a", "b": "token-of-b"}


@pytest.fixture
def a() -> Iterator[OriginServer]:
    with OriginServer() as server:
        server.script("1.tif", body=OF_A)
        yield server


@pytest.fixture
def b() -> Iterator[OriginServer]:
    with OriginServer() as server:
        server.script("1.tif", body=OF_B)
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Returns settings with the origins `a`, `b` and the folder `here`, each with its own prefix and credential."""
    (tmp_path / "masters" / "box").mkdir(parents=True)
    (tmp_path / "masters" / "box" / "1.tif").write_bytes(OF_FOLDER)

    def make(a: str, b: str, more: str = "", **given: Any) -> Settings:
        file = tmp_path / "origins.toml"
        folder = (tmp_path / "masters").as_uri()
        file.write_text(
            f'[a]\nprefix = "a"\nurl = "{a}"\njwt_token = "{SECRETS["a"]}"\n{more}\n'
            f'[b]\nprefix = "b"\nurl = "{b}"\njwt_token = "{SECRETS["b"]}"\nretries = 0\n'
            f'[here]\nprefix = "here"\nurl = "{folder}"\n'
        )
        return load(_env_file=None, origins_file=file, tmp_dir=tmp_path / "scratch", **given)

    return make


def fetch(origin: Origin, path: str) -> bytes:
    with origin.open(path) as master:
        return master.file.read()


def credentials(server: OriginServer) -> set[str | None]:
    return {request.headers.get("authorization") for request in server.seen()}


def test_each_path_is_fetched_from_its_origin_with_its_credential(
    a: OriginServer, b: OriginServer, settings: Callable[..., Settings]
) -> None:
    seen: list[tuple[str, str]] = []
    origin = open_origin(settings(a.url, b.url), lambda name, outcome: seen.append((name, outcome)))
    assert (fetch(origin, "a/1.tif"), fetch(origin, "b/1.tif")) == (OF_A, OF_B)
    assert fetch(origin, "here/box/1.tif") == OF_FOLDER
    assert (credentials(a), credentials(b)) == ({"Bearer token-of-a"}, {"Bearer token-of-b"})
    assert seen == [("a", "200"), ("b", "200")]
    assert origin.revalidate("b/none.tif", None, None) is MasterStatus.GONE
    with pytest.raises(OriginUnknown, match="no origin has masters at this path: their paths begin with here/, a/, b/"):
        fetch(origin, "c/1.tif")
    with pytest.raises(MasterMissing):
        fetch(origin, "a/b/1.tif")


def test_a_failure_names_its_origin_and_the_fields_of_its_table(
    a: OriginServer, b: OriginServer, settings: Callable[..., Settings]
) -> None:
    a.script("away.tif", redirect="http://elsewhere.example/1.tif")
    with pytest.raises(OriginRedirectRefused, match=r"^a: the repository redirects to .* nor in `redirect_hosts`$"):
        fetch(open_origin(settings(a.url, b.url)), "a/away.tif")


def test_no_redirect_carries_a_credential_to_another_origin(
    a: OriginServer, b: OriginServer, settings: Callable[..., Settings]
) -> None:
    for path, target in {"own.tif": f"{b.url}1.tif", "user.tif": b.url.replace("://", "://me:x@") + "1.tif"}.items():
        a.script(path, redirect=target)
    refusing = open_origin(settings(a.url, b.url))
    allowing = open_origin(settings(a.url, b.url, f'redirect_hosts = ["127.0.0.1:{b.port}"]'))
    for origin, path in [(refusing, "a/own.tif"), (refusing, "a/user.tif"), (allowing, "a/user.tif")]:
        with pytest.raises(OriginRedirectRefused):
            fetch(origin, path)
    assert b.count() == 0
    assert fetch(allowing, "a/own.tif") == OF_B
    assert credentials(b) == {None}, "the other server gets no credential, neither a's nor its own"


@pytest.mark.parametrize("target", ["/rest/b/1.tif", "/rest/b/1.tif?x=1", "/rest/%62/1.tif", "/rest/a/../b/1.tif"])
def test_on_one_server_no_name_and_no_redirect_leads_to_the_other_origin(
    a: OriginServer, settings: Callable[..., Settings], target: str
) -> None:
    a.script("b/1.tif", body=OF_B)
    a.script("moved.tif", redirect=target)
    for base in (a.url, f"{a.url}a/"):  # b lies below a; and beside it
        a.script(f"{base.removeprefix(a.url)}moved.tif", redirect=target)
        origin = open_origin(settings(base, f"{a.url}b/"))
        for path in ("a/b/1.tif", "a/moved.tif", "a/%62/1.tif", "a/b%2f1.tif"):
            with suppress(Failure):
                fetch(origin, path)
        assert fetch(origin, "b/1.tif") == OF_B
        assert {request.headers.get("authorization") for request in a.seen("b/1.tif")} == {"Bearer token-of-b"}


@pytest.mark.parametrize(
    "target",
    ["/rest/a/%2e%2e/b/1.tif", "/rest//b/1.tif", "/rest/b;x/1.tif", "/rest/a/..%2Fb/1.tif", "/rest/a/..;/b/1.tif"],
)
def test_a_redirect_that_some_server_may_read_as_one_to_another_origin_is_refused(
    a: OriginServer, settings: Callable[..., Settings], target: str
) -> None:
    a.script("a/moved.tif", redirect=target)
    a.script("a/here.tif", redirect="/rest/a/1.tif")
    a.script("a/1.tif", body=OF_A)
    origin = open_origin(settings(f"{a.url}a/", f"{a.url}b/"))
    with pytest.raises(OriginRedirectRefused):
        fetch(origin, "a/moved.tif")
    assert fetch(origin, "a/here.tif") == OF_A


def test_an_event_about_an_object_finds_the_origin_that_has_it(tmp_path: Path) -> None:
    file = tmp_path / "origins.toml"
    key = 'username = "id"\npassword = "key"\n'
    file.write_text(
        f'[all]\nprefix = "archive"\nurl = "s3://masters/"\n{key}'
        f'[maps]\nprefix = "m"\nurl = "s3://masters/maps/"\n{key}'
    )
    given = load(
        _env_file=None,
        origins_file=file,
        repo_base_url="s3://home/",
        repo_username="id",
        repo_password="key",
        repo_region="us-east-1",
        aws_default_region="us-east-1",
    )
    resolver = MasterResolver(given, open_origin(given))
    found = {
        place: resolver.resolve(Event(EventKind.CHANGED, OBJECT, place))
        for place in (("masters", "1.tif"), ("masters", "maps/1.tif"), ("home", "1.tif"))
    }
    assert [recipe.path for recipe in found.values() if isinstance(recipe, Mezzanine)] == [
        "archive/1.tif",
        "m/1.tif",
        "1.tif",
    ]
    with pytest.raises(EventIgnored, match="the origin maps has the masters at this path"):
        resolver.resolve(Event(EventKind.DELETED, OBJECT, ("home", "m/1.tif")))


def test_events_manifests_and_names_find_the_origin_by_url_and_never_another(
    a: OriginServer, b: OriginServer, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    given = settings(a.url, b.url, 'event_urls = ["http://proxy.example/a"]\n', webhook_buckets="drop/a")
    origin = open_origin(given)
    resolver, names = MasterResolver(given, origin), MasterNames(origin)

    def of_event(named_by: str, name: Any) -> str:
        recipe = resolver.resolve(Event(EventKind.CHANGED, named_by, name))
        assert isinstance(recipe, Mezzanine)
        return recipe.path

    assert of_event(URL, f"{b.url}box/1.tif") == "b/box/1.tif"
    assert of_event(URL, "http://proxy.example/a/1.tif") == "a/1.tif"
    for elsewhere in ("http://other.example/1.tif", f"{a.url[:-1]}x/1.tif"):
        with pytest.raises(EventIgnored):
            of_event(URL, elsewhere)
    manifest = ManifestPaths(origin.path_of)
    assert manifest.find_path(ManifestImage(f"{a.url}1.tif")) == "a/1.tif"
    assert manifest.find_path(ManifestImage("http://other.example/1.tif")) is None
    assert names.parse_master(f"{a.url}box/1.tif").path == "a/box/1.tif"
    assert names.parse_master(str(tmp_path / "masters/box/1.tif")).path == "here/box/1.tif"
    assert [found.path for found in names.masters(["here/"]) if isinstance(found, Mezzanine)] == ["here/box/1.tif"]
    listed = list(names.masters(["**/*.tif"]))
    assert [found.path for found in listed if isinstance(found, Mezzanine)] == ["here/box/1.tif"]
    assert {found.what for found in listed if isinstance(found, Skipped)} == {"a/", "b/"}
    assert a.count() == b.count() == 0, "nothing was asked for"


def test_a_url_whose_path_another_origin_has_names_no_master(
    a: OriginServer, b: OriginServer, settings: Callable[..., Settings]
) -> None:
    origin = open_origin(settings(a.url, b.url, repo_base_url="http://127.0.0.1:9/rest/"))
    assert origin.path_of("http://127.0.0.1:9/rest/box/1.tif") == "box/1.tif"
    assert origin.path_of("http://127.0.0.1:9/rest/b/1.tif") is None


def test_no_list_waits_for_that_of_another_origin() -> None:
    """The home page waits for two buckets that do not answer as long as for one."""
    both_asked = Barrier(2)

    class Bucket:
        def __init__(self, name: str) -> None:
            self.base_url = f"s3://{name}/"

        def list_paths(self, _most: int) -> list[str]:
            both_asked.wait(60)
            return ["1.tif", "2.tif"]

    members = [OriginMember(name, f"{name}/", Bucket(name)) for name in "ab"]  # type: ignore[arg-type]
    assert OriginRouter(members).list_paths(3) == ["a/1.tif", "b/1.tif", "a/2.tif"]


def test_logs_hide_the_secrets_of_all_origins(settings: Callable[..., Settings]) -> None:
    hide = Redactor.of(settings("http://a.example/", "http://b.example/")).hide_known
    assert hide("token-of-a, token-of-b") == "***, ***"
