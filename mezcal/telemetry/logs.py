"""The form of the logs: one line per event, as JSON or for people, and no secret in any of them.

    log.info("request", extra={"fields": {"path": "/images/a.tif", "status": 200}})

What stands under `fields` becomes fields of the JSON line, and `name=value` for people.
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

NOISY = ("urllib3", "PIL", "pyvips", "tifffile", "celery.worker.strategy", "celery.app.trace")
OWN_HANDLERS = ("gunicorn.error", "gunicorn.access")  # gunicorn sets its loggers up itself
# Whatever could begin a line of its own, move the terminal's cursor, or turn the direction of what follows.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Lines(logging.Formatter):
    """One line per record; *written* makes it of its fields."""

    def __init__(self, written: Callable[[dict[str, Any]], str], mask: Redactor, part: str) -> None:
        super().__init__()
        self._written, self._mask, self._part = written, mask, part

    def format(self, record: logging.LogRecord) -> str:
        """*record* as a line, without its end."""
        return self._written(self._masked(self._fields(record)))

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "time": moment(record.created),
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

    def _masked(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: self._mask(value) if isinstance(value, str) else value for name, value in fields.items()}


def as_json(fields: dict[str, Any]) -> str:
    """One JSON object, control characters and all that is not ASCII escaped."""
    return json.dumps({name: value for name, value in fields.items() if value is not None}, default=str)


def for_people(fields: dict[str, Any]) -> str:
    """Time, level, what happened, and the rest as name=value; a traceback on lines of its own, set in."""
    told = dict(fields)
    when, level, event = told.pop("time"), told.pop("level"), told.pop("event")
    told.pop("part"), told.pop("trace_id", None)
    logger, exception = told.pop("logger"), told.pop("exception", None)
    head = f"{when[:10]} {when[11:23]} {level:7} "
    line = _request(told) if event == "request" else f"{event}" if event == "job" else f"{logger}: {event}"
    rest = "".join(f" {name}={_short(value)}" for name, value in told.items() if value is not None)
    text = head + visible(line + rest)
    return text if exception is None else text + "".join(f"\n    {visible(one)}" for one in exception.splitlines())


def _request(told: dict[str, Any]) -> str:
    """The middle of a request's line; takes what it shows out of *told*."""
    words = [str(told.pop(name, "-")) for name in ("method", "path", "status", "outcome")]
    told.pop("kind", None), told.pop("server", None), told.pop("key", None)
    return f"{' '.join(words)} {told.pop('ms', 0):.0f} ms {told.pop('bytes', 0)} B"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{_short(one)}" for name, one in value.items())
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def visible(text: str) -> str:
    """*text* on one line: control characters as escapes."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def moment(seconds: float) -> str:
    """Seconds since 1970 as UTC, to the millisecond (RFC 3339)."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


def set_up_logs(settings: Settings, part: str = "mezcal") -> None:
    """Lines on standard error, everybody's in the same form; called once, where a process is put together.

    Also what the interpreter itself says of an error that nobody caught, and warnings.
    """
    handler = logging.StreamHandler(sys.stderr)
    written = as_json if settings.log_format == "json" else for_people
    handler.setFormatter(Lines(written, Redactor.of(settings), part))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda what: _uncaught(what.exc_type, what.exc_value or what.exc_type(), what.exc_traceback)
    if settings.max_image_pixels < 0:
        logging.getLogger(__name__).warning(
            "MAX_IMAGE_PIXELS is negative: no limit. Only for repositories whose every file is trusted."
        )


def take_over() -> None:
    """Give gunicorn's lines, which go their own way, the form of all others."""
    for name in OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _uncaught(kind: type[BaseException], error: BaseException, place: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, place)
        return
    logging.getLogger("mezcal").critical("ended by an error that nobody caught", exc_info=(kind, error, place))
