"""The options and limits of one conversion, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.convert.options import ConversionOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def no_memory_limit(_needed: int) -> None:
    """Return at once: the memory is not shared with other conversions."""


def no_progress(_fraction: float) -> None:
    """Ignore the progress: nothing shows it."""


@dataclass(frozen=True, slots=True)
class ConversionContext:
    """Made once for each conversion, in `mezcal.derive`.

    *page* is counted from 1; None is the master's main picture. *scratch* is the folder for scratch files without a
    name; None is the system's. *reserve_memory* is called before anything is decoded, with the bytes that will be
    held, and returns when they may be used. *report_progress* gets the fraction of rows done.
    """

    options: ConversionOptions = field(default_factory=ConversionOptions)
    page: int | None = None
    scratch: Path | None = None
    reserve_memory: Callable[[int], None] = no_memory_limit
    report_progress: Callable[[float], None] = no_progress
