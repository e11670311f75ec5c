"""Signatures of webhooks: whether a body comes, as it is, from somebody who has one of the keys."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from typing import TYPE_CHECKING, NamedTuple

from mezcal.errors import Unauthorized
from mezcal.jobs.bulk.batches import KNOWN_SECONDS
from mezcal.settings import signing_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

TOLERANCE = 300  # seconds that a producer's clock, or the way of its message, may be off: as Standard Webhooks has it
SIGNATURES_MOST = 32  # a producer that changes its keys sends two
ID = re.compile(r"[!-\-/-~]{1,256}")  # no full stop: it ends the id in what is signed
TIMESTAMP = re.compile(r"[0-9]{1,12}")
HUB = re.compile(r"sha256=([0-9a-fA-F]{64})")
TIMED = re.compile(r"t=([0-9]{1,12})((?:,v[0-9]+=[0-9a-fA-F]{64}){1,32})")
NAMES = ("webhook-signature", "stripe-signature", "x-hub-signature-256")


class Signed(NamedTuple):
    """A message whose signature is right: what tells it from others, and for how many seconds it does so."""

    id: str
    seconds: int


def checked(headers: Mapping[str, str], body: bytes, secrets: Iterable[SecretStr], now: float) -> Signed:
    """The signed message; raises `Unauthorized`.

    *headers* have names in lower case. Where several kinds of signature are there, one that covers time is asked.
    """
    keys = [secret.get_secret_value() for secret in secrets]
    if "webhook-signature" in headers:
        return _standard(headers, body, [signing_key(key) for key in keys], now)
    plain = [key.encode() for key in keys]
    if "stripe-signature" in headers:
        return _timed(headers["stripe-signature"], body, plain, now)
    return _hub(headers["x-hub-signature-256"], headers.get("x-github-delivery", ""), body, plain)


def _standard(headers: Mapping[str, str], body: bytes, keys: list[bytes], now: float) -> Signed:
    """Standard Webhooks: `v1,` and the Base64 of HMAC-SHA256 over `id.timestamp.body`, several with spaces between."""
    name, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not ID.fullmatch(name) or not TIMESTAMP.fullmatch(moment):
        raise Unauthorized("the signature needs a webhook-id without full stops, and a webhook-timestamp in seconds")
    _recent(moment, now)
    said = headers["webhook-signature"].split(" ", SIGNATURES_MOST)
    given = [_decoded(one[3:]) for one in said[:SIGNATURES_MOST] if one.startswith("v1,")]
    _compare(given, keys, f"{name}.{moment}.".encode() + body)
    return Signed(f"standard\n{name}", KNOWN_SECONDS)


def _timed(header: str, body: bytes, keys: list[bytes], now: float) -> Signed:
    """`Stripe-Signature`: `t=` and `v1=` with the hex of HMAC-SHA256 over `t.body`, as other producers send it, too."""
    found = TIMED.fullmatch(header)
    if not found:
        raise Unauthorized("the signature must be t=.., and v1=.. with 64 hex digits")
    _recent(found[1], now)
    given = [bytes.fromhex(one.removeprefix("v1=")) for one in found[2].split(",") if one.startswith("v1=")]
    _compare(given, keys, f"{found[1]}.".encode() + body)
    return Signed(f"timed\n{found[1]}\n{hashlib.sha256(body).hexdigest()}", KNOWN_SECONDS)


def _hub(header: str, delivery: str, body: bytes, keys: list[bytes]) -> Signed:
    """`X-Hub-Signature-256`: hex of HMAC-SHA256 over the body.

    It covers neither time nor id. With the id of a *delivery* equal bodies are told apart; without one the same body
    may come again when a replay would no longer have been heard in the other forms either.
    """
    found = HUB.fullmatch(header)
    _compare([bytes.fromhex(found[1])] if found else [], keys, body)
    told = f"hub\n{delivery}\n{hashlib.sha256(body).hexdigest()}"
    return Signed(told, KNOWN_SECONDS if delivery else TOLERANCE)


def _recent(moment: str, now: float) -> None:
    if abs(now - int(moment)) > TOLERANCE:
        raise Unauthorized(f"the signature's time is more than {TOLERANCE} s from now: is the clock right?")


def _compare(given: list[bytes], keys: list[bytes], signed: bytes) -> None:
    """Compare all with all: the time it takes says nothing of any key."""
    wanted = [hmac.digest(key, signed, "sha256") for key in keys]
    if not sum(hmac.compare_digest(one, other) for one in given for other in wanted):
        raise Unauthorized("the signature is wrong: it is made with one of WEBHOOK_SECRETS over the body as it is sent")


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
