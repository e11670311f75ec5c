"""The shapes of what the API says in JSON, for its OpenAPI document."""

from __future__ import annotations

from typing import Any

from mezcal.jobs import JobState, Lane

Json = dict[str, Any]


def ref(name: str) -> Json:
    """A reference to the schema *name*."""
    return {"$ref": f"#/components/schemas/{name}"}


def problem() -> Json:
    """RFC 9457."""
    text = {"type": "string"}
    fields: Json = {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "instance": text}
    return {
        "type": "object",
        "required": list(fields),
        "properties": {**fields, "job": {**text, "description": "The job's id, where there is one."}},
    }


def job() -> Json:
    """A job, as `GET /jobs/<id>` shows it."""
    link = {"type": ["string", "null"], "description": "None for a thumbnail: its address is signed for its asker."}
    text, moment = {"type": "string"}, {"type": ["number", "null"], "description": "Seconds since 1970."}
    stage: Json = {
        "type": ["object", "null"],
        "properties": {
            "bytes": {"type": "integer"},
            "bytes_total": {"type": ["integer", "null"]},
            "converted": {"type": "number", "minimum": 0, "maximum": 1},
        },
    }
    fields: Json = {
        "id": text,
        "state": {"enum": [str(state) for state in JobState]},
        "lane": {"enum": [str(lane) for lane in Lane]},
        "attempts": {"type": "integer"},
        **dict.fromkeys(("asked", "started", "ended"), moment),
        "image": link,
        "links": {"type": "object", "properties": {"self": text, "image": link}},
        "failure": {"type": ["object", "null"], "properties": {"class": text, "detail": text}},
    }
    outlook: Json = {
        "place": {"type": ["integer", "null"], "description": "In the queue, from 1."},
        "done": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "progress": stage,
        "estimate": {"type": ["number", "null"], "description": "Seconds that are left."},
        "history": {"type": "array", "items": _attempt()},
    }
    return {"type": "object", "required": list(fields), "properties": fields | outlook}


def _attempt() -> Json:
    text: Json = {"type": "string"}
    fields: Json = {
        "at": {"type": "number", "description": "Seconds since 1970."},
        "attempt": {"type": "integer"},
        "what": text | {"description": "How it ended."},
        "worker": text | {"description": "`host:pid`, for those alone who may change state."},
    }
    return {"type": "object", "properties": fields}


def jobs() -> Json:
    """A list of jobs."""
    return {"type": "object", "required": ["jobs"], "properties": {"jobs": {"type": "array", "items": ref("Job")}}}


def listed() -> Json:
    """Masters, as `POST /jobs` takes them."""
    text = {"type": "string"}
    named: Json = {
        "type": "object",
        "properties": {"path": text, "page": {"type": "integer"}, "url": text, "frame": {"type": "integer"}},
    }
    return {"type": "array", "items": {"anyOf": [text, named]}}


def posted() -> Json:
    """What was noted of a list or of events."""
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "batch": {"type": "string"},
            "items": {"type": "integer"},
            "again": {"type": "boolean", "description": "It was noted before, and does nothing now."},
            "note": {"type": "string", "description": "Why nothing follows."},
        },
    }


def batch() -> Json:
    """A batch, as `GET /jobs/<id>` shows it."""
    text, number = {"type": "string"}, {"type": ["number", "null"]}
    note = {"type": "object", "properties": {"item": text, "what": text, "reason": text}}
    fields: Json = {
        "id": text,
        "state": {"enum": ["going", "over"]},
        "items": {"type": "integer"},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "asked": {"type": "number", "description": "Seconds since 1970."},
        "last": number | {"description": "When anything was news."},
        "rate": number | {"description": "Items settled in a second."},
        "estimate": number | {"description": "Seconds that are left."},
        "failures": {"type": "array", "items": ref("Job")},
        "notes": {"type": "array", "items": note},
        "links": {"type": "object", "properties": {"self": text}},
    }
    return {"type": "object", "required": list(fields), "properties": fields}


def status() -> Json:
    """How the service is, part by part."""
    seconds = {"type": "object", "additionalProperties": {"type": "number"}, "description": "What each look took."}
    return {
        "type": "object",
        "required": ["status"],
        "properties": {"seconds": seconds},
        "additionalProperties": {"type": "string"},
    }
