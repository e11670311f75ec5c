"""Delivers one notice: to NOTICE_URL, signed as Standard Webhooks asks, or to the program of NOTICE_COMMAND."""

from __future__ import annotations

import hmac
import os
import signal
import subprocess
import time
from base64 import b64encode
from typing import TYPE_CHECKING

from mezcal.http import Deadline, HttpClient, HttpRequest, RequestFailed
from mezcal.settings import Settings, signing_key, split_command
from mezcal.settings.other_names import known_names

if TYPE_CHECKING:
    from pydantic import SecretStr

CONNECT_SECONDS = 5.0
DELIVERY_SECONDS = 15.0
COMMAND_SECONDS = 30.0


class NotDelivered(Exception):
    """The notice was not accepted. The text says why, without the URL: it may hold a secret."""


def deliver(settings: Settings, message: str, body: bytes) -> str:
    """Deliver *body*, a JSON text with the id *message*. Returns what happened. Raises `NotDelivered`."""
    if settings.notice_url is not None and settings.notice_secret is not None:
        return _post(settings.notice_url, settings.notice_secret, message, body)
    if settings.notice_command is not None:
        return _run(split_command(settings.notice_command), body)
    raise NotDelivered("neither NOTICE_URL nor NOTICE_COMMAND is set")


def can_deliver(settings: Settings) -> bool:
    """Return True if there is somebody to deliver notices to."""
    return bool(settings.notice_url or settings.notice_command)


def signed_headers(secret: SecretStr, message: str, body: bytes, now: float) -> dict[str, str]:
    """Return the headers that prove who sent *body*: `webhook-id`, `webhook-timestamp` and `webhook-signature`."""
    timestamp = str(int(now))
    signed = f"{message}.{timestamp}.".encode() + body
    signature = hmac.digest(signing_key(secret.get_secret_value()), signed, "sha256")
    return {
        "webhook-id": message,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{b64encode(signature).decode()}",
    }


def _post(url: SecretStr, secret: SecretStr, message: str, body: bytes) -> str:
    headers = {"Content-Type": "application/json", **signed_headers(secret, message, body, time.time())}
    request = HttpRequest(url.get_secret_value(), "POST", own_headers=headers, body=body)
    try:
        response = HttpClient(CONNECT_SECONDS, DELIVERY_SECONDS).send(request, Deadline.after(DELIVERY_SECONDS))
    except RequestFailed as error:
        raise NotDelivered(f"the host of NOTICE_URL {error}") from error
    response.close()
    if not 200 <= response.status < 300:
        redirects = ", and redirects are not followed" if 300 <= response.status < 400 else ""
        raise NotDelivered(f"the host of NOTICE_URL answered {response.status}{redirects}")
    return f"the host of NOTICE_URL answered {response.status}"


def _run(words: list[str], body: bytes) -> str:
    """Start the program with *words* and wait for its end. What it writes goes to our standard error: to the log."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own program
            words, stdin=subprocess.PIPE, stdout=2, env=_environment(), start_new_session=True
        )
    except OSError as error:
        raise NotDelivered(f"the program of NOTICE_COMMAND cannot be started: {error.strerror}") from error
    try:
        process.communicate(body, COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise NotDelivered(f"the program of NOTICE_COMMAND took longer than {COMMAND_SECONDS:.0f} s") from None
    if process.returncode:
        raise NotDelivered(f"the program of NOTICE_COMMAND ended with {process.returncode}")
    return "the program of NOTICE_COMMAND ended with 0"


def _environment() -> dict[str, str]:
    """Return our environment without mezcal's settings, some of which are secrets, by whatever name."""
    own = {name.upper() for name in known_names(Settings.model_fields)}
    return {name: value for name, value in os.environ.items() if name.upper().removesuffix("_FILE") not in own}
