"""What an error tells its reader besides its detail: what to do next, as `mezcal.explanations` has it.

Only operators, who may change state, learn values of settings, hosts and folders.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from flask import request

from api.context import context
from api.security.auth import is_operator
from mezcal.errors import BrokerDown, OriginUnknown, Retention
from mezcal.explanations import TELL, Explanation, explanation_of, filled

if TYPE_CHECKING:
    from mezcal.errors import Failure


@dataclass(frozen=True, slots=True)
class Advice:
    """*viewer* is for everybody, *operator* and *step* for operators: None for all others. One of both is not empty.

    *retry*: trying again may help. *until* is when the failure is forgotten, in seconds since 1970; None if it is not
    remembered. *page* is the page of the documentation.
    """

    viewer: str
    operator: str | None = None
    step: str | None = None
    page: str = ""
    retry: bool = False
    until: float | None = None

    @classmethod
    def of(cls, failure: Failure, job: str | None, path: str | None) -> Self:
        """Return the advice on *failure* for who sends this request.

        *job* is the key of the job that failed, *path* that of its master in the repository.
        """
        explained = explanation_of(failure.slug)
        until = _remembered_until(job) if job and failure.retention is not Retention.NONE else None
        viewer = filled(explained.viewer, path=path)
        if not is_operator():
            return cls(viewer, page=explained.page, retry=explained.retry, until=until)
        operator, step = _for_operators(explained, job, path)
        own = viewer.removesuffix(TELL).rstrip()  # who asks is who runs the service
        return cls(own, operator, step, explained.page, explained.retry, until)

    def as_json(self) -> dict[str, Any]:
        """Return what a problem's JSON has in addition to the fields of RFC 9457."""
        fields = {"advice": self.viewer or None, "operator": self.operator, "next_step": self.step}
        return {name: value for name, value in (fields | {"remembered_until": self.until}).items() if value is not None}


def shown_detail(failure: Failure) -> str:
    """Return *failure*'s detail for who sends this request: without hosts and folders unless it is an operator."""
    explained = explanation_of(failure.slug)
    return filled(explained.operator) if explained.private and not is_operator() else failure.detail


def requested_path() -> str | None:
    """Return the path in the repository that this request names, None if it names none."""
    source = (request.view_args or {}).get("source")
    return str(source) if source else None


def _remembered_until(job: str) -> float | None:
    with suppress(BrokerDown):
        return context().jobs.remembered_until(job)
    return None


def _master_url(path: str) -> str | None:
    with suppress(OriginUnknown):
        return context().origin.of_path(path)[0].url_of(path)
    return None


def _for_operators(explained: Explanation, job: str | None, path: str | None) -> tuple[str, str]:
    master = _master_url(path) if path else None
    settings = context().settings
    return filled(explained.operator, settings, master=master), filled(explained.step, settings, job=job, master=master)
