"""Signatures of webhooks: each test vector is valid, and none that differs from it by a bit, a byte or a second."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api.security.webhook_signatures import SIGNATURES_MAX, TOLERANCE, verify
from mezcal.errors import Unauthorized
from tests import DATA

VECTORS = json.loads((DATA / "webhooks/signature_vectors.json").read_text())
SIGNED = {vector["scheme"]: vector for vector in VECTORS if "secret" in vector}
NOW = 1_614_265_330.0
OTHER = "whsec_" + base64.b64encode(b"another key").decode()


def verified(
    vector: Any, body: bytes | None = None, *, now: float = NOW, secret: str | None = None, **changed: str
) -> Any:
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    secrets = [SecretStr(one) for one in (OTHER, secret or vector["secret"])]
    return verify(headers, vector["body"].encode() if body is None else body, secrets, now)


@pytest.fixture(params=SIGNED)
def vector(request: pytest.FixtureRequest) -> Any:
    return SIGNED[request.param]


def test_every_vector_verifies_with_any_of_several_keys(vector: Any) -> None:
    assert verified(vector).id


def test_a_message_that_comes_again_is_known_and_another_is_not(vector: Any) -> None:
    assert verified(vector).id == verified(vector, now=NOW + TOLERANCE - 1).id
    ids = {verified(one).id for one in SIGNED.values()}
    assert len(ids) == len(SIGNED)


@given(scheme=st.sampled_from(sorted(SIGNED)), data=st.data())
def test_no_flipped_bit_of_the_body_verifies(scheme: str, data: st.DataObject) -> None:
    body = bytearray(SIGNED[scheme]["body"].encode())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Unauthorized):
        verified(SIGNED[scheme], bytes(body))


@given(scheme=st.sampled_from(sorted(SIGNED)), data=st.data())
def test_no_flipped_bit_of_a_header_verifies(scheme: str, data: st.DataObject) -> None:
    """Except the case of hex digits and unused bits of Base64, which change no byte of the signature."""
    vector = SIGNED[scheme]
    name = data.draw(st.sampled_from(sorted(vector["headers"])))
    value = bytearray(vector["headers"][name].encode())
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] ^= 1 << data.draw(st.integers(0, 7))
    changed = value.decode("latin-1")
    if same(changed, vector["headers"][name]):
        return
    with pytest.raises(Unauthorized):
        verified(vector, **{name.lower().replace("-", "_"): changed})


def same(one: str, other: str) -> bool:
    """Return True if two headers are different spellings of the same signature."""
    if not other.startswith("v1,"):
        return one.lower() == other.lower() and one.rpartition("=")[0] == other.rpartition("=")[0] != ""
    try:
        return one.startswith("v1,") and base64.b64decode(one[3:], validate=True) == base64.b64decode(other[3:])
    except ValueError:
        return False


@given(body=st.binary(max_size=64), signature=st.text(max_size=100), scheme=st.sampled_from(sorted(SIGNED)))
def test_no_made_up_signature_verifies(body: bytes, signature: str, scheme: str) -> None:
    name = next(name for name in SIGNED[scheme]["headers"] if "ignature" in name)
    with pytest.raises(Unauthorized):
        verified(SIGNED[scheme], body, **{name.lower().replace("-", "_"): signature})


@pytest.mark.parametrize("scheme", ["standard-webhooks v1", "stripe-like"])
@pytest.mark.parametrize("seconds", [TOLERANCE + 1, -TOLERANCE - 1, 10**9, -(10**9)])
def test_what_is_too_old_or_too_new_is_refused(scheme: str, seconds: int) -> None:
    with pytest.raises(Unauthorized, match="clock"):
        verified(SIGNED[scheme], now=NOW + seconds)
    assert verified(SIGNED[scheme], now=NOW + TOLERANCE * (1 if seconds > 0 else -1))


def standard(name: str, moment: str, body: bytes, signatures: str = "") -> Any:
    key = base64.b64decode(SIGNED["standard-webhooks v1"]["secret"].removeprefix("whsec_"))
    right = base64.b64encode(hmac.digest(key, f"{name}.{moment}.".encode() + body, "sha256")).decode()
    return verified(
        SIGNED["standard-webhooks v1"],
        body,
        webhook_id=name,
        webhook_timestamp=moment,
        webhook_signature=(signatures or "v1,{}").format(right),
    )


def test_a_signature_among_others_is_found() -> None:
    assert standard("a", "1614265330", b"{}", "v1a,x v2,y v1,AAAA v1,{} v1,====")
    assert standard("a", "1614265330", b"{}", "v1,AAAA " * (SIGNATURES_MAX - 1) + "v1,{}")


def test_a_thousand_signatures_are_not_gone_through() -> None:
    with pytest.raises(Unauthorized):
        standard("a", "1614265330", b"{}", "v1,AAAA " * 999 + "v1,{}")


def test_the_end_of_an_id_is_unambiguous() -> None:
    """`a.1` at 2 and `a` at 1 would sign the same bytes for two bodies."""
    with pytest.raises(Unauthorized, match="full stop"):
        standard("a.1614265330", "1614265330", b"{}")


@pytest.mark.parametrize(
    "moment",
    ["", "x", "-1614265330", "+1614265330", "1614265330.0", "1e9", "\uff11614265330", " 1614265330", "9" * 400],
)
def test_a_timestamp_is_digits(moment: str) -> None:
    with pytest.raises(Unauthorized):
        standard("a", moment, b"{}")


@pytest.mark.parametrize("name", ["", "a b", "a\n", "\x00", "é", "a" * 257])
def test_an_id_is_short_and_plain(name: str) -> None:
    with pytest.raises(Unauthorized):
        standard(name, "1614265330", b"{}")


def test_the_keys_of_no_scheme_verify_in_another() -> None:
    for vector in SIGNED.values():
        for other in SIGNED.values():
            if vector is not other:
                with pytest.raises(Unauthorized):
                    verified(vector, secret=other["secret"])


def test_a_hub_body_is_the_same_message_whatever_its_unsigned_id_says() -> None:
    vector = SIGNED["github"]
    first, second = (verified(vector, x_github_delivery=name) for name in "ab")
    assert first == second == verified(vector)
    assert hashlib.sha256(vector["body"].encode()).hexdigest() in first.id
