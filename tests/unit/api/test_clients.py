"""The client of a request is found behind proxies, and cannot be invented by the client itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api import create_app
from api.security.clients import client_of
from api.security.shares import limited_client, limited_origin
from api.security.waiting_places import UNLIMITED
from mezcal.errors import WrongSetting
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

PROXY, CLIENT, INVENTED = "198.51.100.1", "192.0.2.7", "203.0.113.9"
FRONT = {"sendfile_header": "X-Accel-Redirect"}


def client(peer: str, forwarded: str | None = None, **given: Any) -> str:
    environ = {"REMOTE_ADDR": peer} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    return client_of(environ, load(_env_file=None, **given))


@pytest.mark.parametrize(
    ("peer", "named"),
    [
        (CLIENT, CLIENT),
        (f"::ffff:{CLIENT}", CLIENT),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", "127.0.0.1"),
        ("", ""),  # a unix socket
        ("nonsense", ""),
    ],
)
def test_a_client_is_its_address_or_its_network_of_ipv6(peer: str, named: str) -> None:
    assert client(peer) == named


@pytest.mark.parametrize("given", [{}, {"trusted_proxies": "198.51.100.0/24"}])
def test_a_client_that_is_no_proxy_cannot_invent_an_address(given: dict[str, Any]) -> None:
    assert client(CLIENT, INVENTED, **given) == CLIENT


@pytest.mark.parametrize(
    ("peer", "given"),
    [
        ("127.0.0.1", {}),
        ("::1", {}),
        ("", {}),
        ("172.18.0.4", FRONT),  # nginx in another container
        (PROXY, {"trusted_proxies": "2001:db8::/32, 198.51.100.1"}),
        (f"::ffff:{PROXY}", {"trusted_proxies": "198.51.100.0/24"}),
    ],
)
@pytest.mark.parametrize("before", ["", f"{INVENTED}, ", f"{INVENTED},, nonsense,"])
def test_behind_a_proxy_it_is_the_address_that_the_proxy_adds(peer: str, given: dict[str, Any], before: str) -> None:
    assert client(peer, f"{before}{CLIENT}", **given) == CLIENT


@pytest.mark.parametrize(
    ("forwarded", "named"),
    [
        (f"{INVENTED}, {CLIENT}, {PROXY}", CLIENT),
        (f"{INVENTED}, unknown, {PROXY}", PROXY),  # the outer proxy hides its client
        (PROXY, PROXY),
        (f"{INVENTED}, {CLIENT}, 127.0.0.1", CLIENT),  # a proxy on this machine before nginx
        (f"{INVENTED}, {CLIENT}, ::1", CLIENT),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
        (f"{CLIENT}:4242", CLIENT),
        ("[2001:db8:1:2::1]:4242", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
    ],
)
def test_further_trusted_proxies_are_skipped(forwarded: str, named: str) -> None:
    assert client("127.0.0.1", forwarded, trusted_proxies=PROXY) == named


@pytest.mark.parametrize("value", ["nginx", "10.0.0.0/40", "10.0.0.1;10.0.0.2"])
def test_a_proxy_that_is_no_address_is_refused_with_an_example(value: str) -> None:
    with pytest.raises(WrongSetting, match=r"TRUSTED_PROXIES .*192\.0\.2\.7"):
        load(_env_file=None, trusted_proxies=value)


def limited(folder: Path, peer: str, token: str = "", **given: Any) -> str:
    app = create_app(
        load(_env_file=None, storage_dir=folder, redis_url="redis://127.0.0.1:1", repo_base_url="http://x/", **given)
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with app.test_request_context(environ_overrides={"REMOTE_ADDR": peer}, headers=headers):
        return limited_client()


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", ""])
def test_this_machine_has_no_share_by_default(tmp_path: Path, peer: str) -> None:
    assert limited(tmp_path, peer) == UNLIMITED


@pytest.mark.parametrize(("exempt", "name"), [("none", CLIENT), ("192.0.2.8", CLIENT), ("192.0.2.0/24", UNLIMITED)])
def test_networks_may_be_exempt_from_the_share(tmp_path: Path, exempt: str, name: str) -> None:
    assert limited(tmp_path, CLIENT, client_share_exempt=exempt) == name


def test_nobody_may_be_exempt(tmp_path: Path) -> None:
    assert limited(tmp_path, "127.0.0.1", client_share_exempt="none") == "127.0.0.1"


def test_an_exempt_address_of_ipv6_exempts_its_network(tmp_path: Path) -> None:
    assert limited(tmp_path, "2001:db8::9", client_share_exempt="2001:db8::1,192.0.2.0/24") == UNLIMITED
    assert limited(tmp_path, "2001:db8:0:1::9", client_share_exempt="2001:db8::1") == "2001:db8:0:1::/64"


def test_a_token_is_a_client_from_any_address_and_operators_have_no_share(tmp_path: Path) -> None:
    given = {"read_tokens": "first,second", "api_tokens": "operator"}
    names = [limited(tmp_path, peer, "first", **given) for peer in (CLIENT, PROXY)]
    assert names[0] == names[1] not in {CLIENT, UNLIMITED, limited(tmp_path, CLIENT, "second", **given)}
    assert "first" not in names[0]
    assert limited(tmp_path, CLIENT, "wrong", **given) == CLIENT
    assert limited(tmp_path, CLIENT, "operator", **given) == UNLIMITED


@pytest.mark.parametrize(("prefixes", "limited"), [(("",), UNLIMITED), (("maps",), UNLIMITED), (("maps", ""), "o0")])
def test_an_origin_without_others_may_have_all_waiting_places(
    tmp_path: Path, prefixes: tuple[str, ...], limited: str
) -> None:
    file = tmp_path / "origins.toml"
    tables = (
        f'[o{number}]\nprefix = "{prefix}"\nurl = "http://o{number}.example/"\n'
        for number, prefix in enumerate(prefixes)
    )
    file.write_text("".join(tables))
    given = {"redis_url": "redis://127.0.0.1:1/0", "data_dir": tmp_path, "origins_file": file}
    with create_app(load(_env_file=None, **given)).test_request_context():
        assert limited_origin("maps/1.tif") == limited
