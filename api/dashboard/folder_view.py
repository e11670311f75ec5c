"""The folders of a folder origin, for operators: a page of names, and what is known of each image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast

from flask import request, url_for
from werkzeug.exceptions import NotFound

from api.dashboard.gallery import previewed
from api.dashboard.job_page import UNFINISHED
from api.responses import html
from mezcal.errors import BadRecipe, BrokerDown
from mezcal.explanations import explanation_of
from mezcal.jobs import JobState
from mezcal.origin import FolderOrigin, FolderPage
from mezcal.recipe import Mezzanine
from mezcal.recipe.path import plain_path

if TYPE_CHECKING:
    from api.context import ApiContext
    from mezcal.jobs import Record
    from mezcal.origin import OriginMember
    from mezcal.store import Described

PAGE_SIZE = 60  # names
STORE_THREADS = 16  # questions at once to a store over the network
STATES = {
    JobState.QUEUED: "waiting in the queue",
    JobState.DELAYED: "waiting for its next attempt",
    JobState.RUNNING: "being converted",
}


@dataclass(frozen=True, slots=True)
class FolderLink:
    """A folder: *href* is the URL path of its page, None if it has a name that no path can have."""

    name: str
    href: str | None


@dataclass(frozen=True, slots=True)
class FolderImage:
    """A master: *state* in words, *mark* for its dot, *href* for its image, None if no path can have its name.

    *preview* is the URL path of its preview, *job* the key of its unfinished or failed job, if there are any. *retry*
    is True if trying again may help although nothing was changed.
    """

    name: str
    href: str | None
    state: str
    mark: str = ""
    preview: str | None = None
    cached: Described | None = None
    job: str | None = None
    failed: bool = False
    retry: bool = False


@dataclass(frozen=True, slots=True)
class FolderView:
    """All that the page shows: *crumbs* lead to it, *folders* and *images* are those of the page *number*."""

    path: str
    crumbs: list[FolderLink]
    folders: list[FolderLink]
    images: list[FolderImage]
    number: int
    total: int
    broker_answers: bool
    csrf_token: str

    @classmethod
    def of(cls, context: ApiContext, path: str, number: int, csrf_token: str) -> Self:
        """Collect what the page *number* of the folder at *path* shows now. Raises `NotFound` if there is none."""
        path = path.strip("/")
        listed = _listed(context, path, number)
        names = [f"{path}/{name}" if path else name for name in listed.images]
        recipes = [_recipe(name) for name in names]
        known = KnownMasters.of(context, [recipe for recipe in recipes if recipe])
        return cls(
            path=path,
            crumbs=_crumbs(path),
            folders=[_folder(path, name) for name in listed.folders],
            images=[known.image(name, recipe) for name, recipe in zip(listed.images, recipes, strict=True)],
            number=number,
            total=listed.total,
            broker_answers=known.broker_answers,
            csrf_token=csrf_token,
        )

    @property
    def pages(self) -> int:
        """How many pages the folder has."""
        return max(1, -(-self.total // PAGE_SIZE))

    def page_url(self, number: int) -> str:
        """Return the URL path of another page of this folder."""
        return url_for("operator.browse", folder=f"{self.path}/" if self.path else None, page=number)

    def html(self) -> str:
        """Return the page."""
        return html.render("folder.html", shown=self, root=request.script_root)


@dataclass(frozen=True, slots=True)
class KnownMasters:
    """What the store and the queue know of some masters, by the keys of their recipes."""

    cached: dict[str, Described | None]
    previews: set[str]
    jobs: dict[str, Record]
    broker_answers: bool

    @classmethod
    def of(cls, context: ApiContext, recipes: list[Mezzanine]) -> Self:
        """Ask the store, and in few round trips the queue. Without its broker only the store is known."""
        with ThreadPoolExecutor(STORE_THREADS) as pool:
            described = pool.map(context.store.describe, recipes)
            cached = {recipe.key: found for recipe, found in zip(recipes, described, strict=True)}
        try:
            records = context.jobs.records(list(cached))
            previews = previewed(context, [recipe for recipe in recipes if cached[recipe.key]])
        except BrokerDown:
            return cls(cached, set(), {}, False)
        return cls(cached, previews, {record.key: record for record in records}, True)

    def image(self, name: str, recipe: Mezzanine | None) -> FolderImage:
        """Return what the page shows of the master *name*. *recipe* is None if no path can have that name."""
        if recipe is None:
            return FolderImage(_printable(name), None, "no address can have this name")
        href, key = url_for("images.image", source=recipe.path), recipe.key
        cached, job = self.cached[key], self.jobs.get(key)
        if cached:
            preview = url_for("operator.preview", key=key) if key in self.previews else None
            return FolderImage(name, href, "cached", "in", preview, cached)
        if job and job.state in UNFINISHED:
            return FolderImage(name, href, STATES[job.state], "now", job=key)
        if job and job.failure:
            retry = explanation_of(job.failure.slug).retry
            state = f"failed: {job.failure.detail}"
            return FolderImage(name, href, state, "failed", job=key, failed=True, retry=retry)
        return FolderImage(name, href, "not converted yet")


def has_folders(context: ApiContext) -> bool:
    """Return True if the origin is a folder, which can be listed."""
    return any(isinstance(member.origin, FolderOrigin) for member in context.origin.members)


def _listed(context: ApiContext, path: str, number: int) -> FolderPage:
    """Return the names of the page *number*, with the folders that lead to other origins. Raises `NotFound`."""
    folder = f"{path}/" if path else ""
    members = context.origin.members
    owner = next((member for member in members if folder.startswith(member.prefix)), None)
    below = [member for member in members if member.prefix.startswith(folder) and member.prefix != folder]
    leading = {member.prefix.removeprefix(folder).partition("/")[0] for member in below if _is_folder(member)}
    leads = FolderPage(sorted(leading), [], len(leading))
    if owner is None or not _is_folder(owner):
        if not leading:
            raise NotFound("the repository is not a folder, and has no list of its masters")
        return leads
    try:
        listed = _page_of(cast("FolderOrigin", owner.origin), folder.removeprefix(owner.prefix).rstrip("/"), number)
    except NotFound:
        if not leading:
            raise
        return leads  # a folder of no origin, on the way to one
    new = sorted(leading - set(listed.folders)) if number == 1 else []
    return FolderPage(new + listed.folders, listed.images, listed.total + len(leading))


def _is_folder(member: OriginMember) -> bool:
    return isinstance(member.origin, FolderOrigin)


def _page_of(origin: FolderOrigin, path: str, number: int) -> FolderPage:
    """Return the names of the page *number* of the folder at *path* of *origin*. Raises `NotFound`."""
    try:
        listed = origin.listing.page(plain_path(path) if path else "", (number - 1) * PAGE_SIZE, PAGE_SIZE)
    except OSError as error:
        raise NotFound(f"this folder cannot be listed: {error.strerror}") from error
    if number > 1 and not (listed.folders or listed.images):
        raise NotFound("the folder has fewer pages")
    return listed


def _recipe(path: str) -> Mezzanine | None:
    try:
        return Mezzanine.parse(path)
    except BadRecipe:
        return None


def _folder(path: str, name: str) -> FolderLink:
    inner = f"{path}/{name}" if path else name
    href = url_for("operator.browse", folder=f"{inner}/") if _recipe(inner) else None
    return FolderLink(_printable(name), href)


def _crumbs(path: str) -> list[FolderLink]:
    """Return the folders that lead to *path*, the repository's first."""
    names = path.split("/") if path else []
    above = ["/".join(names[: count + 1]) for count in range(len(names))]
    links = [
        FolderLink(name, url_for("operator.browse", folder=f"{to}/")) for name, to in zip(names, above, strict=True)
    ]
    return [FolderLink("All folders", url_for("operator.browse")), *links]


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
