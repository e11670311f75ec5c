"""What each class of failure means, for viewers and for operators, and what to do next.

Error pages, `/problems/<slug>`, the operator's page, `mezcal failures`, `mezcal warm` and docs/troubleshooting.md show
this one table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from mezcal.settings import Settings

PLACEHOLDER = re.compile(r"\{(\w+)\}")
WORDS = {"JOB": "ID", "MASTER": "the master's URL", "PATH": "at that path"}  # in their place, where they are not known


@dataclass(frozen=True, slots=True)
class Explanation:
    """*viewer* is for the person who asked for the image; *operator* is the cause, *step* what an operator does next.

    A setting in braces is shown with its value; `{JOB}` is the id of the job, `{MASTER}` the URL of the master and
    `{PATH}` its path in the repository. *page* is the page of the documentation. *retry*: the same request may succeed
    although nothing was changed. *private*: the detail may name hosts or folders, so only operators see it.
    """

    viewer: str
    operator: str
    step: str
    page: str
    retry: bool = False
    private: bool = False


RETRY = "mezcal failures --retry {JOB}"
WAIT = "Try again in a moment."
TELL = "Tell the people who run this service."

TABLE = {
    # --- the request
    "bad-recipe": Explanation(
        "Correct what the detail names: a parameter, or the address. That of an image is /images/ and its path in the "
        "repository.",
        "The path or a parameter of the request names no image; the detail says which.",
        "Correct the link. Paths are relative to {REPO_BASE_URL} and percent-encoded. Parameters of frames are in "
        "docs/thumbnails.md and docs/cutouts.md.",
        "docs/http.md",
    ),
    "unauthorized": Explanation(
        "Send a token of this service in the header `Authorization: Bearer`.",
        "The request has no token, or one that is not configured.",
        "Compare the client's token with {API_TOKENS}; for reading also with {READ_TOKENS}.",
        "docs/configuration.md",
    ),
    "forbidden": Explanation(
        "This is not open to you. Ask the people who run this service.",
        "No token is configured that would allow this, or the form or the signed URL is not valid.",
        "Set API_TOKENS for changes, METRICS_TOKEN for metrics, or WEBHOOK_SECRETS for events, and start mezcal again.",
        "docs/configuration.md",
    ),
    "bad-event": Explanation(
        "Correct the body of the request.",
        "The body of an event or of a list has another form than its route reads.",
        "Compare it with the examples of its format, and with the route that it is sent to.",
        "docs/webhooks.md",
    ),
    "denied": Explanation(
        "This image may not be shown. Ask the people who run this service why.",
        "Somebody has denied the image, or the folder it is in.",
        "See who and why: mezcal deny --list. Lift it, if it should be shown: mezcal deny --lift PATH",
        "docs/take-down.md",
    ),
    # --- the repository
    "master-missing": Explanation(
        "The repository has no file {PATH}. Check the spelling. If the file was added a moment ago, try again in a few "
        "minutes.",
        "mezcal looked for {MASTER}. The repository has no such file.",
        "Compare that with the repository, and correct {REPO_BASE_URL} if it is wrong. The URL of a derivative has an "
        "ending more than its master: the pyramid of plain.tif is /derivatives/pyramid/plain.tif.tif. If the file is "
        "there now: mezcal failures --forget {JOB}",
        "docs/http.md",
    ),
    "origin-unknown": Explanation(
        "No repository of this service has files at {PATH}. Check the beginning of the path.",
        "The path begins with none of the prefixes in {ORIGINS_FILE}.",
        "Correct the link; or add an origin with that prefix, or one with an empty prefix for all other paths, and "
        "start mezcal again.",
        "docs/origins.md",
    ),
    "master-outside": Explanation(
        "There is no such image here. Check the spelling.",
        "The path leads out of {REPO_BASE_URL}, by a link. mezcal opens only files in that folder.",
        "Put the file itself in the folder, or mount its folder there; or make a folder that has both {REPO_BASE_URL}. "
        "Then: mezcal failures --forget {JOB}",
        "docs/commands.md",
        private=True,
    ),
    "master-denied": Explanation(
        f"The repository refuses this service. {TELL}",
        "The repository answered 401 or 403 for {MASTER}.",
        "Check {AUTH_TYPE} and its credential, or the rights of the key of a bucket, with: mezcal check PATH",
        "docs/configuration.md",
    ),
    "master-unreadable": Explanation(
        f"This service may not read the file. {TELL}",
        "The user that mezcal runs as may not read the file {MASTER}, or may not enter a folder above it.",
        "Let that user read the file (chmod o+r, or another owner or group) and enter its folders (chmod o+x). "
        "Test it as that user with: mezcal check PATH",
        "docs/commands.md",
    ),
    "master-forbidden": Explanation(
        "The repository does not open this image to the public.",
        "The repository answered 401 or 403 for {MASTER}, or the user that mezcal runs as may not read the file; "
        "{ORIGIN_DENIED_STATUS} passes that on.",
        "If it should be open, check {AUTH_TYPE} and its credential, the rights of the key of a bucket, or the owner "
        "and mode of a file in a folder, with: mezcal check PATH",
        "docs/configuration.md",
    ),
    "master-archived": Explanation(
        f"The image is in an archive and must be brought back first. {TELL}",
        "The object of {MASTER} is in an archive of the object store (Glacier), which takes hours to give it back.",
        "Restore the object, or give it a storage class that is read at once. Then: mezcal failures --forget {JOB}",
        "docs/origins.md",
    ),
    "origin-key-refused": Explanation(
        f"The repository refuses this service. {TELL}",
        "The bucket of {REPO_BASE_URL} refuses the key or the signature, or there is no such bucket; the detail says "
        "which. Bulk jobs wait until this is corrected.",
        "Correct the setting that the detail names, and start mezcal again. Test it with: mezcal check",
        "docs/origins.md",
        retry=True,
        private=True,
    ),
    "origin-failed": Explanation(
        WAIT,
        "The repository answered 5xx or 429, or refused or broke the connection, after {ORIGIN_RETRIES} repetitions.",
        "Check the repository itself, and whether this machine can reach it: mezcal check",
        "docs/operations-queue.md",
        retry=True,
    ),
    "origin-timeout": Explanation(
        WAIT,
        "The repository was too slow: to connect ({ORIGIN_CONNECT_TIMEOUT}), between two reads "
        "({ORIGIN_READ_TIMEOUT}), or in total ({ORIGIN_TOTAL_TIMEOUT}).",
        "Check the load of the repository. If large masters need longer, raise ORIGIN_TOTAL_TIMEOUT.",
        "docs/configuration.md",
        retry=True,
    ),
    "origin-redirect-refused": Explanation(
        f"The repository sends this service to another host. {TELL}",
        "The repository, or the archive, leads to a host that is neither its own nor allowed.",
        "If that host is right, add it to {ORIGIN_REDIRECT_HOSTS}, or for frames to {ARCHIVE_FILE_HOSTS}.",
        "docs/configuration.md",
        private=True,
    ),
    "unusable-response": Explanation(
        "Check the spelling of the address.",
        "The repository's answer for {MASTER} brings no file: another 4xx, a redirect loop, or invalid HTTP.",
        "Request that URL yourself, with the credential of {AUTH_TYPE}.",
        "docs/http.md",
    ),
    "master-incomplete": Explanation(
        WAIT,
        "The file did not arrive whole: the repository cut it, or it changed while it was read.",
        f"If it is being uploaded, wait for the end. Else compare its size in the repository. Then: {RETRY}",
        "docs/http.md",
        retry=True,
    ),
    "master-damaged": Explanation(
        f"The file in the repository is damaged. {TELL}",
        "The file {MASTER} is not the one that the repository declares: its digest differs, and differed again when it "
        "was read once more.",
        "Compare the file with its digest in the repository, and restore it from a good copy. If the digest is what is "
        f"wrong, correct that, or see {{ORIGIN_DIGESTS}}. Then: {RETRY}",
        "docs/fixity.md",
    ),
    # --- the science archive
    "frame-unfit": Explanation(
        "No thumbnail is made of frames of this kind.",
        "The frame's configuration type or its record does not allow this thumbnail.",
        "See VALID_CONFIGURATION_TYPES, VALID_CONFIGURATION_TYPES_FOR_COLOR_THUMBS and REQUIRED_FRAME_VALIDATION_KEYS.",
        "docs/thumbnails.md",
    ),
    "no-such-section": Explanation(
        "Change what the detail names. It says what this frame cannot show, and what to ask for instead.",
        "A cutout or an overlay was asked for that the frame cannot show: it is elsewhere on the sky, it has no usable "
        "coordinates, or the picture would be too large. The detail says which.",
        "The client has to change its request as the detail says. If the frame should show the position, check the "
        "coordinates in its header.",
        "docs/cutouts.md",
    ),
    "no-such-picture": Explanation(
        "Change `hdu` or `plane` as the detail says. It lists what the frame has.",
        "The request names an HDU that has no picture in this frame, or a plane that the picture does not have.",
        "The client has to change `hdu` or `plane`. If the frame should have it, look at the frame in another program.",
        "docs/thumbnails.md",
    ),
    "frame-missing": Explanation(
        "Check the frame. If it is not public yet, send your token for the archive.",
        "The archive has no such frame for this client, or lacks one of the three that a colour thumbnail needs.",
        "Ask the archive for the frame with the client's token: {ARCHIVE_API_URL}",
        "docs/thumbnails.md",
    ),
    "archive-refused": Explanation(
        "Check your token for the archive.",
        "The archive refuses the client; its status is passed on.",
        "Ask the archive with the client's token: {ARCHIVE_API_URL}",
        "docs/thumbnails.md",
    ),
    "archive-failed": Explanation(
        WAIT,
        "The archive's API answered 5xx or something that is not JSON, or cannot be reached.",
        "Check {ARCHIVE_API_URL} with: mezcal check",
        "docs/thumbnails.md",
        retry=True,
        private=True,
    ),
    "archive-timeout": Explanation(
        WAIT,
        "The archive's API was too slow.",
        "Check {ARCHIVE_API_URL} with: mezcal check",
        "docs/thumbnails.md",
        retry=True,
        private=True,
    ),
    "ticket-expired": Explanation(
        "Ask for the thumbnail again.",
        "The signed URL of the frame's file was refused, mostly because it has expired.",
        "The next request brings a new URL. If it is refused, too, check the clocks: mezcal check",
        "docs/thumbnails.md",
        retry=True,
    ),
    # --- the master
    "not-an-image": Explanation(
        "The file at this address is not an image that this service can show.",
        "The file does not begin like any supported image format, or the repository declares another media type.",
        "Look at the file. If the path is right, save the master in one of the formats of docs/formats.md.",
        "docs/formats.md",
    ),
    "page-instead": Explanation(
        f"The repository sent a web page instead of the image. {TELL}",
        "The repository answered 200 with HTML or JSON: a page for signing in, or of an outage.",
        "Request {MASTER} yourself; check {AUTH_TYPE} and its credential.",
        "docs/http.md",
    ),
    "master-empty": Explanation(
        f"The file at this address is empty. {TELL}",
        "The file has no bytes: a broken upload or copy, or a full disk.",
        f"Put a good copy in its place. A request tries it again after {{FAILURE_BRIEF_SECONDS}}; or: {RETRY}",
        "docs/http.md",
    ),
    "undecodable": Explanation(
        f"The file is damaged, or of a kind that cannot be shown. {TELL}",
        "The decoder refuses the file; the detail has its reason. Once the file has changed, the next request tries it "
        "again.",
        f"Open the master in another program. If it is damaged, put a good copy in its place; then: {RETRY}",
        "docs/formats.md",
    ),
    "too-large": Explanation(
        f"The image is larger than this service converts. {TELL}",
        "The master has more pixels than {MAX_IMAGE_PIXELS}, more bytes than {ORIGIN_MAX_BYTES}, or needs more memory "
        "than {WORKER_MEMORY}.",
        "If you trust the file, raise the setting that the detail names, and start mezcal again; or save the master "
        f"smaller, in tiles, or without metadata; then: {RETRY}",
        "docs/memory.md",
    ),
    # --- mezcal
    "timed-out": Explanation(
        f"The conversion took too long. {TELL}",
        "One attempt took longer than {JOB_TIME_LIMIT} and was stopped.",
        f"If the master is huge or the repository slow, raise JOB_TIME_LIMIT, and start mezcal again; then: {RETRY}",
        "docs/operations-queue.md",
    ),
    "quarantined": Explanation(
        f"This image cannot be made at the moment. {TELL}",
        "The job ended its worker {MAX_ATTEMPTS} times, mostly because memory ran out.",
        f"Look for the job in the workers' log and in the system's (out of memory?); then: {RETRY}",
        "docs/operations-queue.md",
    ),
    "unforeseen": Explanation(
        WAIT,
        "A fault in mezcal; the workers' log has the traceback.",
        f"Search the log for {{JOB}} and report what you find; then: {RETRY}",
        "docs/logs.md",
        retry=True,
        private=True,
    ),
    "failure": Explanation(
        TELL,
        "No reason was recorded.",
        f"Search the workers' log for {{JOB}}; then: {RETRY}",
        "docs/logs.md",
    ),
    "unavailable": Explanation(WAIT, "mezcal cannot answer now.", "mezcal check", "docs/operating.md", retry=True),
    "still-working": Explanation(
        "The image is being prepared. The next request shows it, once it is ready.",
        "The job takes longer than {WAIT_SECONDS}, and continues.",
        "Nothing. If it happens often, start more workers: mezcal worker",
        "docs/operations-queue.md",
        retry=True,
    ),
    "busy": Explanation(
        WAIT,
        "Too many requests wait ({WAITERS_MAX} in each API process), or too many jobs are queued ({QUEUE_MAX}).",
        "Start more workers; see who asks at /ops.",
        "docs/operations-queue.md",
        retry=True,
    ),
    "share-exceeded": Explanation(
        "You have asked for many images at once. Try again when some of them are ready.",
        "One client has more requests waiting, or jobs queued, than {CLIENT_SHARE} of the places.",
        "If it is your IIIF server or a campus, add its address to {CLIENT_SHARE_EXEMPT}.",
        "docs/configuration.md",
        retry=True,
    ),
    "origin-paused": Explanation(
        WAIT,
        "The repository failed {BREAKER_FAILURES} jobs in a row. Requests to it are paused for a moment.",
        "Check the repository itself, and whether this machine can reach it: mezcal check",
        "docs/operations-queue.md",
        retry=True,
    ),
    "broker-down": Explanation(
        WAIT,
        "Redis cannot be reached or must not be used. Images that are cached are still served.",
        "mezcal check",
        "docs/operating.md",
        retry=True,
        private=True,
    ),
    "store-down": Explanation(
        WAIT,
        "The cache cannot be read or written: it is full, read-only or missing, or the bucket does not answer.",
        "mezcal check",
        "docs/operations-cache.md",
        retry=True,
        private=True,
    ),
    "out-of-memory": Explanation(
        WAIT,
        "There was not enough memory, or too many files were open, for this conversion or request.",
        "Give the worker more memory or fewer processes; see {WORKER_MEMORY}.",
        "docs/memory.md",
        retry=True,
        private=True,
    ),
    "profile-missing": Explanation(
        WAIT,
        "A worker was started with another PROFILES_FILE than the API. The detail names the worker and the profile.",
        "Give every API and worker the same {PROFILES_FILE}, and start them again.",
        "docs/profiles.md",
        retry=True,
        private=True,
    ),
    "superseded": Explanation(
        WAIT,
        "The worker lost its lease on the job: another worker has it, or the master has changed.",
        "Nothing. If it happens often, look for workers that stop for longer than {LEASE_SECONDS}.",
        "docs/operations-queue.md",
        retry=True,
    ),
}


def explanation_of(slug: str) -> Explanation:
    """Return the explanation of a class of failures, by its slug; that of `failure` if it is unknown."""
    return TABLE.get(slug, TABLE["failure"])


def filled(text: str, settings: Settings | None = None, **known: str | None) -> str:
    """Return *text* with its placeholders replaced: settings by `NAME (now VALUE)`, others by *known*.

    Without *settings*, only the name is shown. The value of a secret is never shown.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name in WORDS:
            return known.get(name.lower()) or WORDS[name]
        return name if settings is None else f"{name} (now {_shown(settings, name.lower())})"

    return PLACEHOLDER.sub(value, text)


def _shown(settings: Settings, name: str) -> str:
    """Return the value of the setting *name* for people. A default of 0 stands for one that mezcal finds itself."""
    value = getattr(settings, name)
    if value is None or value in ((), ""):
        return "unset"
    if value == 0 and type(settings).model_fields[name].default == 0:
        return "the default"
    parts = value if isinstance(value, tuple) else (value,)
    if any(isinstance(part, SecretStr) for part in parts):
        return "set"
    return ",".join(f"{part:,}" if type(part) is int else str(part) for part in parts)
