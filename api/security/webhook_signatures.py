"""Signatures of webhooks: they prove that a body was sent by an owner of a key and was not changed."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from typing import TYPE_CHECKING, NamedTuple

from mezcal.errors import Unauthorized
from mezcal.settings import signing_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

TOLERANCE = 300  # seconds between the signature's time and now: clock difference and transport (Standard Webhooks)
SIGNATURES_MAX = 32  # a producer that changes its key sends two
ID = re.compile(r"[!-\-/-~]{1,256}")  # without a full stop, which ends the id in the signed text
TIMESTAMP = re.compile(r"[0-9]{1,12}")
HUB = re.compile(r"sha256=([0-9a-fA-F]{64})")
TIMED = re.compile(r"t=([0-9]{1,12})((?:,v[0-9]+=[0-9a-fA-F]{64}){1,32})")
NAMES = ("webhook-signature", "stripe-signature", "x-hub-signature-256")


class Signed(NamedTuple):
    """A message with a valid signature. *id* recognizes the message if it is sent again."""

    id: str


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[SecretStr], now: float) -> Signed:
    """Return the message that the signature in *headers* proves. Raises `Unauthorized`.

    The names in *headers* are in lower case. Of several kinds of signature, one that covers the time is checked.
    """
    keys = [secret.get_secret_value() for secret in secrets]
    if "webhook-signature" in headers:
        return _standard(headers, body, [signing_key(key) for key in keys], now)
    plain = [key.encode() for key in keys]
    if "stripe-signature" in headers:
        return _timed(headers["stripe-signature"], body, plain, now)
    return _hub(headers["x-hub-signature-256"], body, plain)


def _standard(headers: Mapping[str, str], body: bytes, keys: list[bytes], now: float) -> Signed:
    """Standard Webhooks: `v1,` and the Base64 of HMAC-SHA256 over `id.timestamp.body`; several, separated by spaces."""
    name, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not ID.fullmatch(name) or not TIMESTAMP.fullmatch(timestamp):
        raise Unauthorized("the signature needs a webhook-id without full stops, and a webhook-timestamp in seconds")
    _check_time(timestamp, now)
    signatures = headers["webhook-signature"].split(" ", SIGNATURES_MAX)[:SIGNATURES_MAX]
    given = [_decode(signature[3:]) for signature in signatures if signature.startswith("v1,")]
    _check_signature(given, keys, f"{name}.{timestamp}.".encode() + body)
    return Signed(f"standard\n{name}")


def _timed(header: str, body: bytes, keys: list[bytes], now: float) -> Signed:
    """`Stripe-Signature`: `t=`, and `v1=` with the hex of HMAC-SHA256 over `t.body`. Other producers use it, too."""
    found = TIMED.fullmatch(header)
    if not found:
        raise Unauthorized("the signature must be t=.., and v1=.. with 64 hex digits")
    _check_time(found[1], now)
    given = [bytes.fromhex(part.removeprefix("v1=")) for part in found[2].split(",") if part.startswith("v1=")]
    _check_signature(given, keys, f"{found[1]}.".encode() + body)
    return Signed(f"timed\n{found[1]}\n{hashlib.sha256(body).hexdigest()}")


def _hub(header: str, body: bytes, keys: list[bytes]) -> Signed:
    """`X-Hub-Signature-256`: hex of HMAC-SHA256 over the body.

    It covers neither a time nor an id, so only the body recognizes a message. `X-GitHub-Delivery` is not signed:
    an attacker who has seen a message could send it again under another id.
    """
    found = HUB.fullmatch(header)
    _check_signature([bytes.fromhex(found[1])] if found else [], keys, body)
    return Signed(f"hub\n{hashlib.sha256(body).hexdigest()}")


def _check_time(timestamp: str, now: float) -> None:
    if abs(now - int(timestamp)) > TOLERANCE:
        raise Unauthorized(f"the signature's time is more than {TOLERANCE} s from now: is the clock right?")


def _check_signature(given: list[bytes], keys: list[bytes], signed: bytes) -> None:
    """Raise `Unauthorized` if no signature is right. All are compared, so that the time reveals nothing of a key."""
    expected = [hmac.digest(key, signed, "sha256") for key in keys]
    if not sum(hmac.compare_digest(left, right) for left in given for right in expected):
        raise Unauthorized("the signature is wrong: sign the body as it is sent, with one of WEBHOOK_SECRETS")


def _decode(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
