"""Checks of what an installation needs, shared by `mezcal check` and `/readyz`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mezcal.errors import Failure
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable

SETTING_HINT = "docs/configuration.md says what each setting may hold"
__all__ = ["Check", "CheckFailed", "Finding", "Severity"]


class Severity(StrEnum):
    """The result of a check. A warning is something that works now and may fail later."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class CheckFailed(Exception):
    """A check found a problem. *hint* says what to do; without one, the hint of the check is used."""

    def __init__(self, detail: str, hint: str = "", level: Severity = Severity.FAILED) -> None:
        super().__init__(detail)
        self.detail, self.hint, self.level = detail, hint, level


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and how many *seconds* it took. *hint* says what to do; it is empty if nothing is wrong."""

    name: str
    level: Severity
    detail: str
    hint: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Check:
    """One check. *test* returns its result as a text, or raises the problem; *hint* is the most frequent remedy."""

    name: str
    test: Callable[[], str]
    hint: str

    def run(self) -> Finding:
        """Run the check and return its finding. Raises nothing."""
        began = time.monotonic()
        level, detail, hint = self._result()
        return Finding(self.name, level, detail, hint, time.monotonic() - began)

    def _result(self) -> tuple[Severity, str, str]:
        try:
            return Severity.OK, self.test(), ""
        except CheckFailed as failed:
            return failed.level, failed.detail, failed.hint or self.hint
        except Failure as failure:
            hint = getattr(failure, "hint", "") or self.hint
            return Severity.FAILED, getattr(failure, "reason", failure.detail), hint
        except WrongSetting as wrong:
            return Severity.FAILED, " ".join(str(wrong).split()), wrong.hint or SETTING_HINT
        except OSError as error:
            return Severity.FAILED, " ".join(str(error).split()), self.hint
        except Exception as error:  # noqa: BLE001 - any error of a check is its finding
            return Severity.FAILED, " ".join(f"{type(error).__name__}: {error}".split()), self.hint
