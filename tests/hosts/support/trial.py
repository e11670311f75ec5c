"""A load on several hosts, and what must be true at its end whatever happened meanwhile."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mezcal.recipe import Mezzanine
from mezcal.store import open_store
from tests.hosts.support.cluster import WORKERS
from tests.hosts.support.load import ClientLoad, digest
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hosts.support.cluster import Cluster
    from tests.hosts.support.load import LoadResult
    from tests.hosts.support.stores import Publications

MASTERS = 40
SHADES = [grey_tiff(shade, 256) for shade in range(0, 256, 5)]
STEADY_MASTERS, STEADY_PAUSE = 3000, 0.3  # more than are asked for; seconds
SLOWEST = 0.6  # seconds until the origin answers: the longest delay of a master


class Trial:
    """What happens on *cluster*. Its *published* are counted; *seed* says how long each master takes to come."""

    def __init__(self, cluster: Cluster, published: Publications, seed: int) -> None:
        self.cluster, self.published = cluster, published
        self._chance = random.Random(seed)
        self._seed = seed
        self.paths: list[str] = []
        self.load = ClientLoad(cluster, [])

    def new_masters(self, paths: list[str]) -> None:
        """Have the repository serve the masters *paths*; it takes a while for each."""
        for each, path in enumerate(paths):
            body = SHADES[each % len(SHADES)]
            self.cluster.origin.script(path, body=body, delay=self._chance.uniform(0.1, SLOWEST))
        self.published.expect(paths)

    @contextmanager
    def under_load(self, name: str, extra: int, number: int = MASTERS) -> Iterator[LoadResult]:
        """Have clients ask for new masters during the block, which begins when some of them are made.

        Then assert that each image was served whole, is stored once, was published once and downloaded once, with at
        most *extra* downloads more, and that no job is left.
        """
        began, self.paths = time.monotonic(), [f"{name}-{each:03}.tif" for each in range(number)]
        self.new_masters(self.paths)
        self.load = ClientLoad(self.cluster, self.paths)
        with self.load.running() as course:
            self.load.wait_for_images(number // 8)
            yield course
        self._print(name, course, began)
        self._assert_all(extra)

    @contextmanager
    def under_steady_load(self, name: str, bulk: list[str]) -> Iterator[LoadResult]:
        """Have clients ask for new masters until the end of the block, and assert the same then.

        Images of the masters *bulk* are asked for by the caller. Masters that were asked for in two queues may be
        downloaded twice.
        """
        began, most = time.monotonic(), [f"{name}-{each:04}.tif" for each in range(STEADY_MASTERS)]
        self.new_masters([*most, *bulk])
        self.load = ClientLoad(self.cluster, most, STEADY_PAUSE)
        with self.load.running() as course:
            self.load.wait_for_images(1)
            yield course
            self.load.stop()
        self.paths = [*self.load.asked, *bulk]
        self._print(name, course, began)
        self._assert_all(len(self.paths))

    def _assert_all(self, extra: int) -> None:
        until(lambda: not any(self.cluster.table.depths().values()), 120, "an idle queue")
        self._assert_whole()
        self._assert_stored()
        self._assert_once(extra)

    def _print(self, name: str, course: LoadResult, began: float) -> None:
        took, gap = time.monotonic() - began, course.gap(began)
        ends = Counter(f"{told['host']} {told['outcome']}" for told in self.cluster.attempts(*WORKERS))
        twice = [path for path in self.paths if self.cluster.origin.count(path) > 1]
        print(
            f"\n{name} (seed {self._seed}): {len(course.images)} images in {took:.1f} s, "
            f"answers {dict(course.answers)}, slowest {course.longest:.1f} s, "
            f"longest time without an image {gap:.1f} s, downloaded twice {twice}, attempts so far {dict(ends)}"
        )

    def _assert_whole(self) -> None:
        course = self.load.course
        assert not course.unpromised(), course.answers
        assert set(course.images) == set(self.load.asked)

    def _assert_stored(self) -> None:
        store = open_store(self.cluster.settings)
        for path in self.paths:
            recipe = Mezzanine.parse(path)
            found, sidecar = store.open(recipe), store.sidecar(recipe)
            assert found is not None, f"{path} was lost"
            assert sidecar is not None, path
            with found.file as file:
                stored = file.read()
            assert sidecar.sha256 == digest(stored), path
            assert self.load.course.images.get(path, stored) == stored, path

    def _assert_once(self, extra: int) -> None:
        published = self.published.counts()
        wrong = {path: published[path] for path in self.paths if published[path] != 1}
        assert not wrong, wrong
        downloads = {path: self.cluster.origin.count(path) for path in self.paths}
        assert max(downloads.values()) <= 2, downloads
        assert sum(downloads.values()) <= len(self.paths) + extra, downloads
