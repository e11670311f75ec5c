"""What the service answers, as OpenAPI 3.1; a test holds it against the routes, another one against the answers."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Any

from api.schemas import Json, batch, job, jobs, listed, posted, problem, ref, status
from mezcal.errors import Failure, kinds
from mezcal.events import FORMATS

READS = ("get", "head")
ORIGIN = (404, 403, 413, 415, 422, 500, 502, 503, 504)  # what making a derivative can end in


@cache
def document(archive: bool) -> Json:
    """The whole document; *archive* says that there are thumbnails, too."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mezcal",
            "version": metadata.version("mezcal"),
            "summary": "Cached JPEG derivatives of preservation masters.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths() | (_of_thumbnails() if archive else {}),
        "components": {
            "schemas": {"Problem": problem(), "Job": job(), "Batch": batch(), "Posted": posted()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "login": {"type": "http", "scheme": "basic"},
                "signature": {"type": "apiKey", "in": "header", "name": "webhook-signature"},
            },
        },
    }


def _paths() -> Json:
    image, source, page = _image_answers(), _path("source", "The master's path in the repository."), _page()
    key = _path("key", "The job's id: 32 hex digits.")
    return {
        "/images/{source}": {
            "parameters": [source, page],
            "get": _does("The mezzanine of a master; a miss waits for it.", image, [_prefer()]),
            "head": _does("What GET would answer; waits as GET does.", image, [_prefer()]),
            "delete": _changes(
                "Forget the mezzanine, its job and its failure.", {204: _empty("Forgotten.")}, (400, 503)
            ),
        },
        "/mezzanine/{source}.jpg": {
            "parameters": [source, page],
            "get": _does("As /images, for servers that judge by the extension.", image, [_prefer()]),
            "head": _does("What GET would answer.", image, [_prefer()]),
        },
        "/images": {name: _does("A path is missing.", _problems(400, 401)) for name in ("get", "head", "delete")},
        "/mezzanine": {name: _does("A path is missing.", _problems(400, 401)) for name in READS},
        "/mezzanine/": {name: _does("A path is missing.", _problems(400, 401)) for name in READS},
        "/jobs": {
            **_reads("The failed and quarantined jobs.", {200: _json("The jobs.", jobs())}, (400, 401, 503), _listed()),
            "post": _takes(
                _changes("Have the listed masters made.", _posted(), (400, 413, 415, 503)),
                {
                    "application/json": listed(),
                    "application/x-ndjson": {"type": "string"},
                    "text/plain": {"type": "string"},
                },
            ),
        },
        "/webhooks/{form}": {
            "parameters": [_path("form", "The producer's format.") | {"schema": {"enum": list(FORMATS)}}],
            "post": _takes(
                _changes("Note what a repository says has happened.", _posted(), (400, 404, 413, 415, 503))
                | {"security": [{"token": []}, {"login": []}, {"signature": []}]},
                {"application/json": {}},
            ),
        },
        "/jobs/{key}": {
            "parameters": [key],
            **_reads(
                "Where a job, or a batch of them, stands.",
                {200: _json("It.", {"anyOf": [ref("Job"), ref("Batch")]}, "ETag"), 304: _empty("Nothing has changed.")},
                (401, 404, 503),
            ),
        },
        "/jobs/{key}/retry": {
            "parameters": [key],
            "post": _changes("Try a failed job again.", {202: _empty("Queued.", "Location")}, (404, 503)),
        },
        "/": _reads(
            "The home page, or the way to the image of a repository URL.",
            {200: _media("The page.", "text/html", {"type": "string"}), 302: _empty("To the image.", "Location")},
            (400, 401, 404, 503),
            [_query("url", {"type": "string"})],
        ),
        "/healthz": _reads("The process answers.", {200: _json("It does.", status())}),
        "/readyz": _reads(
            "Whether a miss could be made.",
            {code: _json("Each part, `ok` or what is wrong with it.", status()) for code in (200, 503)},
        ),
        "/problems/{slug}": {
            "parameters": [_path("slug", "The last part of a problem's type.")],
            **_reads("What a problem's type means.", {200: _json("Its meaning.", {"type": "object"})}, (404,)),
        },
        "/openapi.json": _reads("This document.", {200: _json("It.", {"type": "object"})}),
    }


def _of_thumbnails() -> Json:
    frame = _path("frame", "The frame's id, or the name of its file less the extension.")
    told = _json("Where the thumbnail is, for a week.", {"type": "object", "required": ["url"]})
    asked = _empty("Only where `Prefer: respond-async` asked for it: the job.", "Location", "Preference-Applied")
    there = _empty("To it.", "Location")
    signed = [_query("expires", {"type": "string"}), _query("signature", {"type": "string"})]
    stored = {code: answer for code, answer in _image_answers().items() if code in {"200", "206", "304", "412", "416"}}
    return {
        "/{frame}/": {
            "parameters": [frame],
            **_reads("A frame's thumbnail.", {200: told, 202: asked, 302: there}, (400, 401, *ORIGIN)),
        },
        "/files/{key}.jpg": {
            "parameters": [_path("key", "The thumbnail's key."), *signed],
            **{name: _does("A stored thumbnail by its signed URL.", stored | _problems(403, 404)) for name in READS},
        },
        "/robots.txt": _reads("Crawlers keep out.", {200: _media("It.", "text/plain", {"type": "string"})}),
        "/favicon.ico": _reads("The drawing.", {200: _media("It.", "image/svg+xml", {"type": "string"})}),
    }


# --- operations


def _does(summary: str, answers: Json, parameters: list[Json] | None = None) -> Json:
    return {"summary": summary, "responses": answers, **({"parameters": parameters} if parameters else {})}


def _reads(summary: str, answers: dict[int, Json], problems: tuple[int, ...] = (), parameters: Any = None) -> Json:
    """GET and HEAD with these answers and *problems*; reading may need a token (READ_TOKENS)."""
    said = {str(code): answer for code, answer in answers.items()} | _problems(*problems)
    return {name: {**_does(summary, said, parameters), "security": [{}, {"token": []}]} for name in READS}


def _changes(summary: str, answers: dict[int, Json], problems: tuple[int, ...]) -> Json:
    """An operation that changes state, and needs a token."""
    said = {str(code): answer for code, answer in answers.items()} | _problems(401, 403, *problems)
    return {**_does(summary, said), "security": [{"token": []}]}


def _takes(operation: Json, bodies: Json) -> Json:
    """*operation* with a body of one of these media types."""
    content = {kind: {"schema": schema} for kind, schema in bodies.items()}
    return operation | {"requestBody": {"required": True, "content": content}}


def _posted() -> dict[int, Json]:
    return {
        202: _json("Noted: the batch tells what becomes of it.", ref("Posted"), "Location"),
        200: _json("Nothing new follows: it was noted before, or is none of ours.", ref("Posted")),
    }


def _image_answers() -> Json:
    names = ("ETag", "Last-Modified", "Cache-Control", "Cache-Status", "Accept-Ranges")
    jpeg: Json = {"type": "string", "contentMediaType": "image/jpeg"}
    return {
        "200": _media("The image.", "image/jpeg", jpeg, *names),
        "202": _empty("Only where `Prefer: respond-async` asked for it: the job.", "Location", "Preference-Applied"),
        "206": _media("A part of the image.", "image/jpeg", jpeg, *names, "Content-Range"),
        "304": _empty("The client has it.", "ETag"),
        "412": _problem_answer("A condition is not met."),
        "416": _problem_answer("The range is past the end."),
        **_problems(400, 401, *ORIGIN),
    }


# --- parameters


def _path(name: str, text: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": {"type": "string", "minLength": 1},
    }


def _query(name: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "schema": schema}


def _page() -> Json:
    return _query("page", {"type": "integer", "minimum": 1, "maximum": 65_535})


def _listed() -> list[Json]:
    state = _query("state", {"const": "failed"}) | {"required": True}
    return [state, _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000})]


def _prefer() -> Json:
    text = "RFC 7240: `respond-async`, `wait=N`."
    return {"name": "Prefer", "in": "header", "description": text, "schema": {"type": "string"}}


# --- answers


def _media(text: str, kind: str, schema: Json, *headers: str) -> Json:
    return {**_empty(text, *headers), "content": {kind: {"schema": schema}}}


def _json(text: str, schema: Json, *headers: str) -> Json:
    return _media(text, "application/json", schema, *headers)


def _empty(text: str, *headers: str) -> Json:
    said = {"headers": {name: {"schema": {"type": "string"}} for name in headers}} if headers else {}
    return {"description": text, **said}


def _problem_answer(text: str) -> Json:
    kinds_ = {"application/problem+json": {"schema": ref("Problem")}, "text/html": {"schema": {"type": "string"}}}
    return {"description": text, "content": kinds_}


def _problems(*codes: int) -> Json:
    """Problem answers; 503 says when to ask again."""
    said = {str(code): _problem_answer("; ".join(_titles(code)) or "A fault of ours.") for code in codes}
    if "503" in said:
        said["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return said


def _titles(code: int) -> list[str]:
    return sorted({kind.title for kind in kinds() if kind.status == code and kind is not Failure})
