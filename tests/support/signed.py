"""Events as producers send them: signed, each with a new id."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any
from uuid import uuid4

from mezcal.settings import signing_key


def signed(body: bytes, secret: str, name: str | None = None, moment: int | None = None) -> dict[str, str]:
    """Returns the headers of Standard Webhooks for *body*."""
    name, stamp = name or f"msg_{uuid4().hex}", str(int(time.time()) if moment is None else moment)
    digest = hmac.digest(signing_key(secret), f"{name}.{stamp}.".encode() + body, "sha256")
    return {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "Content-Type": "application/json",
    }


def event(kind: str, *paths: str) -> bytes:
    """Our own event about masters at *paths*."""
    data: Any = {"path": paths[0]} if len(paths) == 1 else {"items": [{"path": path} for path in paths]}
    return json.dumps({"type": f"master.{kind}", "data": data}).encode()
