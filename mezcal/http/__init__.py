"""The one HTTP client of mezcal. The store in a bucket, and SQS, alone have another: botocore's."""

from mezcal.http.client import (
    Deadline,
    HttpClient,
    HttpRequest,
    HttpResponse,
    Observer,
    ignore_outcome,
    no_authorization,
)
from mezcal.http.errors import (
    BodyInterrupted,
    BodyTooLarge,
    DeadlineExceeded,
    InvalidUrl,
    MalformedResponse,
    RedirectRefused,
    RequestFailed,
    RequestTimedOut,
    TooManyRedirects,
)
from mezcal.http.trace_parent import send_trace_parent, trace_headers
from mezcal.http.urls import DEFAULT_PORTS, Server, has_user, normalise_url, server_of

__all__ = [
    "DEFAULT_PORTS",
    "BodyInterrupted",
    "BodyTooLarge",
    "Deadline",
    "DeadlineExceeded",
    "HttpClient",
    "HttpRequest",
    "HttpResponse",
    "InvalidUrl",
    "MalformedResponse",
    "Observer",
    "RedirectRefused",
    "RequestFailed",
    "RequestTimedOut",
    "Server",
    "TooManyRedirects",
    "has_user",
    "ignore_outcome",
    "no_authorization",
    "normalise_url",
    "send_trace_parent",
    "server_of",
    "trace_headers",
]
