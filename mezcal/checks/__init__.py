"""Whether everything that an installation needs is there and fit: shared by `mezcal check` and `/readyz`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mezcal.errors import Failure
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Check", "CheckFailed", "Finding", "Severity"]


class Severity(StrEnum):
    """How a check went; a warning is something that works now and may not later."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class CheckFailed(Exception):
    """A check found something wrong; *hint* says what to do about it, where the check has nothing better."""

    def __init__(self, detail: str, hint: str = "", level: Severity = Severity.FAILED) -> None:
        super().__init__(detail)
        self.detail, self.hint, self.level = detail, hint, level


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; *seconds* is how long it took."""

    name: str
    level: Severity
    detail: str
    hint: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Check:
    """*look* returns what it found to be well, or raises what is wrong; *hint* is what helps most often."""

    name: str
    look: Callable[[], str]
    hint: str

    def finding(self) -> Finding:
        """Look, and tell."""
        began = time.monotonic()
        level, detail, hint = self._looked()
        return Finding(self.name, level, detail, hint, time.monotonic() - began)

    def _looked(self) -> tuple[Severity, str, str]:
        try:
            return Severity.OK, self.look(), ""
        except CheckFailed as amiss:
            return amiss.level, amiss.detail, amiss.hint or self.hint
        except Failure as failure:
            return Severity.FAILED, failure.detail, self.hint
        except (WrongSetting, OSError) as error:
            return Severity.FAILED, " ".join(str(error).split()), self.hint
        except Exception as error:  # noqa: BLE001 - whatever a check meets is what it has found
            return Severity.FAILED, " ".join(f"{type(error).__name__}: {error}".split()), self.hint
