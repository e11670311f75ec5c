"""The findings of verifying a store: is each stored image the one that was made?"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class HasSize(Protocol):
    """What a walk or a listing yields."""

    @property
    def size(self) -> int | None:
        """The bytes of the image, None if there is none."""


T = TypeVar("T", bound=HasSize)
JPEG_ENDS = b"\xff\xd8", b"\xff\xd9"  # the first and the last two bytes of every JPEG


class Defect(StrEnum):
    """A kind of defect. The comments say how it is mended."""

    EMPTY = "empty image"  # removed with its sidecar: the next request has it made again
    CUT = "cut image"  # the same
    CHANGED = "not what its sidecar says"  # the same
    LONE_SIDECAR = "sidecar without image"  # the sidecar is removed
    UNREADABLE_SIDECAR = "unreadable sidecar"  # removed with its image, which could not be revalidated without it
    IRREGULAR = "not a regular file"  # a link or a pipe is removed, a folder is left; none of them is served
    EMPTY_FOLDER = "empty folder"  # removed
    DEAD_DRAFT = "scratch file of a dead writer"  # removed
    UNREADABLE_IMAGE = "cannot be read"  # left: an operator has to look at the disk, or the rights


@dataclass(frozen=True, slots=True)
class VerifiedItem:
    """One verified item: its folder, its defect, and if that was mended. For another image than `image.jpg`, *folder*
    is its path.

    *without_sidecar* is not a defect: umd-lib/mezcal wrote no sidecars.
    """

    folder: str
    defect: Defect | None = None
    mended: bool = False
    without_sidecar: bool = False
    bytes: int = 0


def is_cut(name: str, ends: tuple[bytes, bytes]) -> bool:
    """Returns True if the image *name* with the first and last two bytes *ends* is a JPEG without one of its ends.

    Other formats have no end mark; their size and digest are in their sidecars.
    """
    return name.endswith(".jpg") and ends != JPEG_ENDS


def choose_sample(items: Iterable[T], number: int, choose: Callable[[int], int] = random.randrange) -> list[T]:
    """Returns *number* of the *items* with an image, each as likely as any other; never holds more than that."""
    sample: list[T] = []
    seen = 0
    for item in items:
        if item.size is None:
            continue
        seen += 1
        if len(sample) < number:
            sample.append(item)
        elif (place := choose(seen)) < number:
            sample[place] = item
    return sample
