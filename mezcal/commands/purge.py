"""`mezcal purge`: delete cached images, so that the next request makes them again."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TextIO

from mezcal.commands.arguments import add_data_dir, settings_with_broker
from mezcal.commands.master_lists import add_lists, add_profiles, names_for, open_list
from mezcal.commands.terminal.exit_codes import INTERRUPTED, OK, PROBLEMS
from mezcal.commands.terminal.printable import printable
from mezcal.commands.terminal.progress_bar import progress_bar
from mezcal.errors import BadRecipe, Failure
from mezcal.ingest import lists
from mezcal.ingest.manifests import Skipped
from mezcal.ingest.names import MasterGroup
from mezcal.ingest.purge import purge, purge_profile
from mezcal.ingest.stored_masters import find_stored
from mezcal.jobs import Jobs
from mezcal.recipe import MEZZANINE, Mezzanine, chosen_profiles
from mezcal.store.origin_note import own_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from mezcal.ingest.names import MasterNames
    from mezcal.recipe import Profile
    from mezcal.settings import Settings
    from mezcal.store import DerivativeStore

ALL = "--all"
DESCRIPTION = """\
Delete the images of each master in all profiles with all its pages, its jobs and its remembered failures. A folder,
which ends with /, or a pattern means all stored images of its masters; --prefix means those whose paths begin with it.
That reads the whole cache.

example: mezcal purge books/1/ 'books/**/cover.tif' --dry-run"""

EXIT_CODES = """\
exit codes: 0 none of it is stored now; 1 a path was refused, or some images have no known path;
2 could not be done; 130 ended by Ctrl-C, or not confirmed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a master, a folder/ or a 'pattern'")
    parser.add_argument("--all", action="store_true", help="the images of all masters")
    add_lists(parser)
    parser.add_argument(
        "--prefix", action="append", default=[], metavar="P", help="all masters whose paths begin with P"
    )
    add_profiles(parser, "purge only derivatives of this profile; may be given several times")
    parser.add_argument("--yes", action="store_true", help="do not ask before many are purged")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be purged")
    add_data_dir(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def run(options: argparse.Namespace) -> int:
    """Purge what *options* name. Returns the exit code."""
    if not (options.paths or options.all or options.lists or options.prefix):
        options.refuse("name something: PATH, --all, --from or --prefix")
    if "" in options.prefix:
        options.refuse("an empty --prefix would purge everything")
    settings = settings_with_broker(options)
    profiles = chosen_profiles(options.profiles, settings) if options.profiles else []
    purge_run = PurgeRun(settings, Jobs.of(settings), own_store(settings), profiles, dry_run=options.dry_run)
    with ExitStack() as stack:
        files = [stack.enter_context(open_list(name)) for name in options.lists]
        groups = [MasterGroup(f"--prefix {prefix}", prefix) for prefix in options.prefix]
        groups += [MasterGroup(ALL)] if options.all else []
        masters, more = purge_run.understand(options.paths)
        groups += more
        if groups and not (options.yes or options.dry_run) and not purge_run.confirmed(groups):
            print("nothing was purged")
            return INTERRUPTED
        return purge_run.run(masters, files, groups)


@dataclass
class PurgeRun:
    """One run of the command. It purges derivatives of *profiles* only, of all if there are none."""

    settings: Settings
    jobs: Jobs
    store: DerivativeStore
    profiles: list[Profile]
    dry_run: bool
    purged: int = 0
    absent: int = 0
    refused: int = 0
    without_path: int = 0

    def understand(self, names: list[str]) -> tuple[list[Mezzanine], list[MasterGroup]]:
        """Returns the masters and the groups that *names* name. Others are refused."""
        masters: list[Mezzanine] = []
        groups: list[MasterGroup] = []
        for name in names:
            try:
                named = self._names.parse(name)
            except BadRecipe as bad:
                self._refuse(Skipped(name, bad.detail))
                continue
            if isinstance(named, Mezzanine):
                masters.append(named)
            elif named.prefix or named.pattern:
                groups.append(named)
            else:
                self._refuse(Skipped(name, f"this is the whole repository: say {ALL}"))
        return masters, groups

    def run(self, masters: list[Mezzanine], files: list[TextIO], groups: list[MasterGroup]) -> int:
        """Purge *masters*, those in *files* and the stored ones of *groups*; print the counts.

        Returns the exit code.
        """
        listed = self._names.masters_of_list(chain.from_iterable(map(lists.read_lines, files)))
        try:
            self._purge_named(chain(masters, listed))
            if groups:
                self._purge_groups(groups)
        except Failure:
            print(f"stopped by an error: {self._summary()}")
            raise
        print(self._summary())
        return PROBLEMS if self.refused or self.without_path else OK

    def confirmed(self, groups: list[MasterGroup]) -> bool:
        """Ask on the terminal. Returns True if the answer is yes, or if stdin is not a terminal."""
        if not sys.stdin.isatty():
            return True
        count = sum(recipe is not None for recipe in self._stored(groups))
        named = " and ".join(printable(group.name) for group in groups)
        return input(f"Purge {count:,} images of {named}? [y/N] ").strip().lower() in {"y", "yes"}

    def _purge_named(self, named: Iterable[Mezzanine | Skipped]) -> None:
        for item in named:
            if isinstance(item, Mezzanine):
                for recipe in map(item.in_profile, self.profiles or [MEZZANINE]):
                    print(f"{self._purge(recipe)}  {printable(recipe.label)}")
            else:
                self._refuse(item)

    def _refuse(self, item: Skipped) -> None:
        self.refused += 1
        print(f"refused  {printable(item.what)}: {printable(item.why)}")

    def _purge(self, recipe: Mezzanine) -> str:
        """Purge *recipe* unless this is a dry run. Returns what was done, as text."""
        if self.dry_run:
            stored = self.store.find(recipe) is not None or any(map(self._goes_with(recipe), self.store.others(recipe)))
        else:
            stored = (purge_profile if self.profiles else purge)(recipe, self.jobs, self.store)
        self.purged += stored
        self.absent += not stored
        return self._purged_text if stored else "not stored"

    def _goes_with(self, recipe: Mezzanine) -> Callable[[Mezzanine], bool]:
        """Returns the test for other derivatives that are purged with *recipe*."""
        if self.profiles:
            return lambda other: recipe.page is None and other.profile == recipe.profile
        return lambda _other: recipe.is_main

    def _purge_groups(self, groups: list[MasterGroup]) -> None:
        before, master = self.purged + self.absent, None
        with progress_bar("purge") as bar:
            for recipe in self._stored(groups):
                if recipe is None:
                    self.without_path += 1
                    continue
                if recipe.main() == master and not self.profiles:
                    continue  # it went with its master
                master = recipe if recipe.is_main else master
                result = self._purge(recipe)
                if self.dry_run:
                    bar.print_line(f"{result}  {printable(recipe.label)}")
                bar.show(self.purged + self.absent - before)

    def _stored(self, groups: list[MasterGroup]) -> Iterator[Mezzanine | None]:
        def is_named(path: str) -> bool:
            return any(group.has(path) for group in groups)

        return filter(self._has_profile, find_stored(is_named, self.store, self.settings.storage_layout))

    def _has_profile(self, recipe: Mezzanine | None) -> bool:
        """Returns True if *recipe* has one of the profiles. What has no known path is umd-lib/mezcal's: a mezzanine."""
        return not self.profiles or (recipe.profile if recipe else MEZZANINE) in self.profiles

    @cached_property
    def _names(self) -> MasterNames:
        return names_for(self.settings)

    @property
    def _purged_text(self) -> str:
        return "would be purged" if self.dry_run else "purged"

    def _summary(self) -> str:
        parts = {
            self._purged_text: self.purged,
            "not stored": self.absent,
            "refused": self.refused,
            "skipped, since their paths are not known": self.without_path,
        }
        return ", ".join(f"{count:,} {name}" for name, count in parts.items() if count) or "none of it is stored"
