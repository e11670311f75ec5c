"""Formats the logs: one line per event, as JSON or as text, without secrets.

    log.info("request", extra={"fields": {"path": "/images/a.tif", "status": 200}})

`fields` become fields of the JSON line, or `name=value` in the text.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from mezcal.telemetry import tracing
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.settings import Settings

NOISY_LOGGERS = ("urllib3", "PIL", "pyvips", "tifffile", "celery.worker.strategy", "celery.app.trace")
GUNICORN_LOGGERS = ("gunicorn.error", "gunicorn.access")
# Characters that could start a new line, move the cursor of a terminal, or change the direction of text.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class LineFormatter(logging.Formatter):
    """Formats each record as one line: *write* makes it from the fields, after *redact* has removed secrets."""

    def __init__(self, write: Callable[[dict[str, Any]], str], redact: Redactor, part: str) -> None:
        super().__init__()
        self._write, self._redact, self._part = write, redact, part

    def format(self, record: logging.LogRecord) -> str:
        """Returns *record* as a line, without the line end."""
        return self._write(self._redacted(self._fields(record)))

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "time": utc_time(record.created),
            "level": record.levelname,
            "event": record.getMessage(),
            "part": self._part,
            "logger": record.name,
        }
        current = tracing.current()
        if current is not None:
            fields |= {"request_id": current.request_id, "trace_id": current.trace_id}
        fields |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = self.formatException(record.exc_info)
        return fields

    def _redacted(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: self._redact(value) if isinstance(value, str) else value for name, value in fields.items()}


def as_json(fields: dict[str, Any]) -> str:
    """Returns *fields* as one JSON object in ASCII, without those that are None."""
    return json.dumps({name: value for name, value in fields.items() if value is not None}, default=str)


def as_text(fields: dict[str, Any]) -> str:
    """Returns *fields* as text: time, level, event, the rest as name=value. A traceback follows, indented."""
    rest = dict(fields)
    when, level, event = rest.pop("time"), rest.pop("level"), rest.pop("event")
    rest.pop("part"), rest.pop("trace_id", None)
    logger, exception = rest.pop("logger"), rest.pop("exception", None)
    head = f"{when[:10]} {when[11:23]} {level:7} "
    line = _request(rest) if event == "request" else f"{event}" if event == "job" else f"{logger}: {event}"
    named = "".join(f" {name}={_short(value)}" for name, value in rest.items() if value is not None)
    text = head + escape_control(line + named)
    return (
        text
        if exception is None
        else text + "".join(f"\n    {escape_control(part)}" for part in exception.splitlines())
    )


def _request(fields: dict[str, Any]) -> str:
    """Returns the middle of a request's line, and removes from *fields* what it shows."""
    words = [str(fields.pop(name, "-")) for name in ("method", "path", "status", "outcome")]
    fields.pop("kind", None), fields.pop("server", None), fields.pop("key", None)
    return f"{' '.join(words)} {fields.pop('ms', 0):.0f} ms {fields.pop('bytes', 0)} B"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{_short(part)}" for name, part in value.items())
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def escape_control(text: str) -> str:
    """Returns *text* with control characters as escapes, so that it is one line."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def utc_time(seconds: float) -> str:
    """Returns *seconds* since 1970 as UTC with milliseconds (RFC 3339)."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


def set_up_logs(settings: Settings, part: str = "mezcal") -> None:
    """Send all logs, warnings and uncaught errors to standard error, in one format. Called once per process."""
    handler = logging.StreamHandler(sys.stderr)
    write = as_json if settings.log_format == "json" else as_text
    handler.setFormatter(LineFormatter(write, Redactor.of(settings), part))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
    if settings.max_image_pixels < 0:
        logging.getLogger(__name__).warning(
            "MAX_IMAGE_PIXELS is negative, so masters may have any size: only for repositories whose files you trust"
        )


def format_gunicorn_logs() -> None:
    """Format the logs of gunicorn as all others: gunicorn has set up its own handlers."""
    for name in GUNICORN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _uncaught(error_type: type[BaseException], error: BaseException, traceback: Any) -> None:
    if issubclass(error_type, KeyboardInterrupt):
        sys.__excepthook__(error_type, error, traceback)
        return
    logging.getLogger("mezcal").critical("uncaught error", exc_info=(error_type, error, traceback))
