"""What the service answers, as OpenAPI 3.1; a test holds it against the routes, another one against the answers."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Any

from api.openapi.operations import (
    ORIGIN,
    READS,
    changes,
    does,
    empty_answer,
    image_answers,
    json_answer,
    media_answer,
    page_parameter,
    path_parameter,
    posted_answers,
    prefer_header,
    problem_answers,
    query_parameter,
    reads,
    state_parameters,
    takes,
)
from api.openapi.schemas import Json, batch, job, jobs, listed, posted, problem, ref, status
from mezcal.ingest.events import FORMATS


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
                "session": {"type": "apiKey", "in": "cookie", "name": "mezcal-ops"},
            },
        },
    }


def _paths() -> Json:
    return _of_images() | _without_path() | _of_jobs() | _of_webhooks() | _of_home() | _of_operator() | _of_service()


def _of_images() -> Json:
    image = image_answers()
    named = {"parameters": [path_parameter("source", "The master's path in the repository."), page_parameter()]}
    forgotten = changes("Forget the mezzanine, its job and its failure.", {204: empty_answer("Forgotten.")}, (400, 503))
    return {
        "/images/{source}": {
            **named,
            "get": does("The mezzanine of a master; a miss waits for it.", image, [prefer_header()]),
            "head": does("What GET would answer; waits as GET does.", image, [prefer_header()]),
            "delete": forgotten,
        },
        "/mezzanine/{source}.jpg": {
            **named,
            "get": does("As /images, for servers that judge by the extension.", image, [prefer_header()]),
            "head": does("What GET would answer.", image, [prefer_header()]),
        },
    }


def _without_path() -> Json:
    missing = does("A path is missing.", problem_answers(400, 401))
    return {
        "/images": dict.fromkeys((*READS, "delete"), missing),
        "/mezzanine": dict.fromkeys(READS, missing),
        "/mezzanine/": dict.fromkeys(READS, missing),
    }


def _of_jobs() -> Json:
    keyed = {"parameters": [path_parameter("key", "The job's id: 32 hex digits.")]}
    failed = json_answer("The jobs.", jobs())
    stands = {
        200: json_answer("It.", {"anyOf": [ref("Job"), ref("Batch")]}, "ETag"),
        304: empty_answer("Nothing has changed."),
    }
    text = {"type": "string"}
    bodies = {"application/json": listed(), "application/x-ndjson": text, "text/plain": text}
    post = takes(changes("Have the listed masters made.", posted_answers(), (400, 413, 415, 503)), bodies)
    retry = changes("Try a failed job again.", {202: empty_answer("Queued.", "Location")}, (404, 503))
    return {
        "/jobs": {
            **reads("The failed and quarantined jobs.", {200: failed}, (400, 401, 503), state_parameters()),
            "post": post,
        },
        "/jobs/{key}": {**keyed, **reads("Where a job, or a batch of them, stands.", stands, (401, 404, 503))},
        "/jobs/{key}/retry": {**keyed, "post": retry},
    }


def _of_webhooks() -> Json:
    form = path_parameter("form", "The producer's format.") | {"schema": {"enum": list(FORMATS)}}
    told = changes("Note what a repository says has happened.", posted_answers(), (400, 404, 413, 415, 503))
    doors: Json = {"security": [{"token": []}, {"login": []}, {"signature": []}]}
    return {"/webhooks/{form}": {"parameters": [form], "post": takes(told | doors, {"application/json": {}})}}


def _of_home() -> Json:
    answers = {
        200: media_answer("The page.", "text/html", {"type": "string"}),
        302: empty_answer("To the image.", "Location"),
    }
    url = [query_parameter("url", {"type": "string"})]
    home = reads("The home page, or the way to the image of a repository URL.", answers, (400, 401, 404, 503), url)
    return {"/": home}


def _of_service() -> Json:
    parts = {code: json_answer("Each part, `ok` or what is wrong with it.", status()) for code in (200, 503)}
    meaning = reads("What a problem's type means.", {200: json_answer("Its meaning.", {"type": "object"})}, (404,))
    return {
        "/healthz": reads("The process answers.", {200: json_answer("It does.", status())}),
        "/readyz": reads("Whether a miss could be made.", parts),
        "/metrics": reads(
            "Counters, gauges and histograms for Prometheus: of this machine, or with METRICS_TOKEN.",
            {200: media_answer("They.", "text/plain", {"type": "string"})},
            (401, 403),
        ),
        "/problems/{slug}": {
            "parameters": [path_parameter("slug", "The last part of a problem's type.")],
            **meaning,
        },
        "/openapi.json": reads("This document.", {200: json_answer("It.", {"type": "object"})}),
    }


def _of_operator() -> Json:
    page, form = media_answer("The page.", "text/html", {"type": "string"}), "application/x-www-form-urlencoded"
    back = {303: empty_answer("Back to the page, with what was done.", "Location")}

    def posts(summary: str, *fields: str, answers: Json) -> Json:
        told = {name: {"type": "string"} for name in fields}
        body = {"content": {form: {"schema": {"type": "object", "properties": told}}}}
        return {"post": {**does(summary, answers), "requestBody": body, "security": [{"session": []}]}}

    changed = {str(code): answer for code, answer in back.items()} | problem_answers(401, 403, 413, 503)
    return {
        "/ops": _operates("The operator's page; with 401, the way in.", {200: page}, (403,), {401: page}),
        "/ops/sign-in": posts(
            "Open a session.",
            "token",
            answers={"303": back[303], "401": page, "429": page, **problem_answers(413, 503)},
        ),
        "/ops/sign-out": posts("End the session.", "seal", answers=changed),
        "/ops/retry": posts("Try one failed job again, or a class of them.", "seal", "job", "class", answers=changed),
        "/ops/previews/{key}.jpg": {
            "parameters": [path_parameter("key", "The derivative's key.")],
            **_operates(
                "A small picture of a derivative.",
                {200: media_answer("It.", "image/jpeg", {"type": "string", "contentMediaType": "image/jpeg"})},
                (401, 403, 404, 503),
            ),
        },
    }


def _operates(summary: str, answers: dict[int, Json], problems: tuple[int, ...], more: Any = None) -> Json:
    """As `reads`, for those who may change state alone."""
    told = reads(summary, {**answers, **(more or {})}, problems)
    return {name: {**does, "security": [{"token": []}, {"session": []}]} for name, does in told.items()}


def _of_thumbnails() -> Json:
    frame = path_parameter("frame", "The frame's id, or the name of its file less the extension.")
    told = json_answer("Where the thumbnail is, for a week.", {"type": "object", "required": ["url"]})
    asked = empty_answer("Only where `Prefer: respond-async` asked for it: the job.", "Location", "Preference-Applied")
    there = empty_answer("To it.", "Location")
    signed = [query_parameter("expires", {"type": "string"}), query_parameter("signature", {"type": "string"})]
    stored = {
        code: answer for code, answer in image_answers().items() if code in {"200", "206", "302", "304", "412", "416"}
    }
    return {
        "/{frame}/": {
            "parameters": [frame],
            **reads("A frame's thumbnail.", {200: told, 202: asked, 302: there}, (400, 401, *ORIGIN)),
        },
        "/files/{key}.jpg": {
            "parameters": [path_parameter("key", "The thumbnail's key."), *signed],
            **{
                name: does("A stored thumbnail by its signed URL.", stored | problem_answers(403, 404))
                for name in READS
            },
        },
        "/robots.txt": reads("Crawlers keep out.", {200: media_answer("It.", "text/plain", {"type": "string"})}),
        "/favicon.ico": reads("The drawing.", {200: media_answer("It.", "image/svg+xml", {"type": "string"})}),
    }
