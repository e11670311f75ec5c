"""`mezcal warm`: make images before a client asks for them."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING

from mezcal.commands.arguments import add_data_dir, at_least_one, settings_of, settings_with_broker
from mezcal.commands.master_lists import add_lists, add_profiles, names_for, open_list
from mezcal.commands.warm_run import rehearse, warm
from mezcal.ingest import lists
from mezcal.ingest.frame_lists import FrameThumbnails
from mezcal.ingest.manifests import Manifests
from mezcal.ingest.manifests.fetch import DocumentFetcher
from mezcal.ingest.manifests.paths import ManifestPaths
from mezcal.ingest.names import MasterGroup
from mezcal.jobs import Jobs
from mezcal.recipe import Mezzanine, chosen_profiles
from mezcal.store.origin_note import own_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from mezcal.ingest.manifests import Skipped
    from mezcal.recipe import Profile, Recipe
    from mezcal.settings import Settings
    from mezcal.store import Store

DESCRIPTION = """\
Queue the named masters that are not cached, or that other settings made ("outdated"), in the bulk lane:
requests of clients come first. A path is
relative to REPO_BASE_URL; a whole URL below it works too. If the repository is a folder or a bucket, so do a folder/
and a pattern, and for a folder an absolute path. Ctrl-C ends the command; the jobs stay queued.

example: mezcal warm --wait books/1/page.tif books/2/ 'books/**/cover.tif'"""

EXIT_CODES = """\
exit codes: 0 all are cached, queued or (--wait) made; 1 some failed or were skipped; 2 could not be done;
130 ended by Ctrl-C or SIGTERM."""

MANIFESTS_MAX = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a master, a folder/ or a 'pattern'")
    parser.add_argument("--all", action="store_true", help="all images of the folder or bucket that is the repository")
    add_lists(parser)
    parser.add_argument(
        "--manifest",
        action="append",
        default=[],
        metavar="URL",
        help="all masters that a IIIF manifest or collection names",
    )
    _add_manifest_options(parser)
    parser.add_argument(
        "--frames",
        nargs="+",
        default=[],
        type=at_least_one,
        metavar="ID",
        help="frames of the archive: their thumbnails in the sizes of THUMBNAIL_SIZES",
    )
    add_profiles(parser, "make this kind of derivative of masters (default: mezzanine); may be given several times")
    parser.add_argument("--wait", action="store_true", help="wait until all are made, and show the progress")
    parser.add_argument("--cancel", action="store_true", help="on Ctrl-C, withdraw the jobs that have not started")
    parser.add_argument("--dry-run", action="store_true", help="only list what is cached, outdated or missing")
    add_data_dir(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def _add_manifest_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--service-prefix",
        action="append",
        default=[],
        metavar="URL",
        help="URL before the percent-encoded path of a master, in the image services of a manifest",
    )
    parser.add_argument(
        "--manifest-host",
        action="append",
        default=[],
        metavar="HOST",
        help="another host from which manifests of a collection may be read",
    )
    parser.add_argument(
        "--members",
        type=at_least_one,
        default=MANIFESTS_MAX,
        metavar="N",
        help="read at most N manifests and collections (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Queue missing and outdated derivatives. Returns the exit code."""
    if not (options.paths or options.all or options.lists or options.manifest or options.frames):
        options.refuse("name something: PATH, --all, --from, --manifest or --frames")
    settings = (settings_of if options.dry_run else settings_with_broker)(options)
    store = own_store(settings)
    with ExitStack() as stack:
        if options.dry_run:
            return rehearse(_recipes(options, settings, store, None, stack), store, settings)
        jobs = Jobs.of(settings)
        recipes = _recipes(options, settings, store, jobs, stack)
        return warm(recipes, jobs, store, settings, wait=options.wait, cancel=options.cancel)


def _recipes(
    options: argparse.Namespace, settings: Settings, store: Store, jobs: Jobs | None, stack: ExitStack
) -> Iterator[Recipe | Skipped]:
    """Yield everything that *options* name, each list read as it is needed. *stack* closes the lists."""
    names = names_for(settings)
    files = [stack.enter_context(open_list(name)) for name in options.lists]
    manifest_paths = ManifestPaths(names.path_of_url, tuple(options.service_prefix))
    manifests = Manifests(manifest_paths, DocumentFetcher(frozenset(options.manifest_host)), options.members)
    masters = chain(
        names.masters(options.paths),
        names.masters_of_group(MasterGroup("--all")) if options.all else (),
        names.masters_of_list(chain.from_iterable(map(lists.read_lines, files))),
        chain.from_iterable(map(manifests.masters, options.manifest)),
    )
    thumbnails = FrameThumbnails(settings, jobs, store).thumbnails(options.frames) if options.frames else ()
    return chain(_in_profiles(masters, chosen_profiles(options.profiles, settings)), thumbnails)


def _in_profiles(named: Iterable[Mezzanine | Skipped], profiles: list[Profile]) -> Iterator[Recipe | Skipped]:
    """Yield the derivatives of each master together, so that one download serves them."""
    for item in named:
        if isinstance(item, Mezzanine):
            yield from map(item.in_profile, profiles)
        else:
            yield item
