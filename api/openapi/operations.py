"""The words of the API's OpenAPI document: operations, parameters, answers."""

from __future__ import annotations

from typing import Any

from api.openapi.schemas import Json, ref
from mezcal.errors import Failure, kinds

READS = ("get", "head")
ORIGIN = (404, 403, 413, 415, 422, 500, 502, 503, 504)  # what making a derivative can end in


# --- operations


def does(summary: str, answers: Json, parameters: list[Json] | None = None) -> Json:
    """An operation."""
    return {"summary": summary, "responses": answers, **({"parameters": parameters} if parameters else {})}


def reads(summary: str, answers: dict[int, Json], problems: tuple[int, ...] = (), parameters: Any = None) -> Json:
    """GET and HEAD with these answers and *problems*; reading may need a token (READ_TOKENS)."""
    said = {str(code): answer for code, answer in answers.items()} | problem_answers(*problems)
    return {name: {**does(summary, said, parameters), "security": [{}, {"token": []}]} for name in READS}


def changes(summary: str, answers: dict[int, Json], problems: tuple[int, ...]) -> Json:
    """An operation that changes state, and needs a token."""
    said = {str(code): answer for code, answer in answers.items()} | problem_answers(401, 403, *problems)
    return {**does(summary, said), "security": [{"token": []}]}


def takes(operation: Json, bodies: Json) -> Json:
    """*operation* with a body of one of these media types."""
    content = {kind: {"schema": schema} for kind, schema in bodies.items()}
    return operation | {"requestBody": {"required": True, "content": content}}


def posted_answers() -> dict[int, Json]:
    """What is said of a list or an event."""
    return {
        202: json_answer("Noted: the batch tells what becomes of it.", ref("Posted"), "Location"),
        200: json_answer("Nothing new follows: it was noted before, or is none of ours.", ref("Posted")),
    }


def image_answers() -> Json:
    """What asking for an image can end in."""
    names = ("ETag", "Last-Modified", "Cache-Control", "Cache-Status", "Accept-Ranges")
    jpeg: Json = {"type": "string", "contentMediaType": "image/jpeg"}
    return {
        "200": media_answer("The image.", "image/jpeg", jpeg, *names),
        "202": empty_answer(
            "Only where `Prefer: respond-async` asked for it: the job.", "Location", "Preference-Applied"
        ),
        "206": media_answer("A part of the image.", "image/jpeg", jpeg, *names, "Content-Range"),
        "302": empty_answer("Only with S3_SERVE=redirect: to the image, by a signed URL.", "Location", "Cache-Status"),
        "304": empty_answer("The client has it.", "ETag"),
        "412": problem_answer("A condition is not met."),
        "416": problem_answer("The range is past the end."),
        **problem_answers(400, 401, *ORIGIN),
    }


# --- parameters


def path_parameter(name: str, text: str) -> Json:
    """A part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": {"type": "string", "minLength": 1},
    }


def query_parameter(name: str, schema: Json) -> Json:
    """A part of the query."""
    return {"name": name, "in": "query", "schema": schema}


def page_parameter() -> Json:
    """The page of a master."""
    return query_parameter("page", {"type": "integer", "minimum": 1, "maximum": 65_535})


def state_parameters() -> list[Json]:
    """Which jobs are listed."""
    state = query_parameter("state", {"const": "failed"}) | {"required": True}
    return [state, query_parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000})]


def prefer_header() -> Json:
    """What a client prefers."""
    text = "RFC 7240: `respond-async`, `wait=N`."
    return {"name": "Prefer", "in": "header", "description": text, "schema": {"type": "string"}}


# --- answers


def media_answer(text: str, kind: str, schema: Json, *headers: str) -> Json:
    """An answer of one media type."""
    return {**empty_answer(text, *headers), "content": {kind: {"schema": schema}}}


def json_answer(text: str, schema: Json, *headers: str) -> Json:
    """An answer in JSON."""
    return media_answer(text, "application/json", schema, *headers)


def empty_answer(text: str, *headers: str) -> Json:
    """An answer without a body."""
    said = {"headers": {name: {"schema": {"type": "string"}} for name in headers}} if headers else {}
    return {"description": text, **said}


def problem_answer(text: str) -> Json:
    """One problem, as JSON or as a page."""
    kinds_ = {"application/problem+json": {"schema": ref("Problem")}, "text/html": {"schema": {"type": "string"}}}
    return {"description": text, "content": kinds_}


def problem_answers(*codes: int) -> Json:
    """Problem answers; 503 says when to ask again."""
    said = {str(code): problem_answer("; ".join(_titles(code)) or "A fault of ours.") for code in codes}
    if "503" in said:
        said["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return said


def _titles(code: int) -> list[str]:
    return sorted({kind.title for kind in kinds() if kind.status == code and kind is not Failure})
