"""How each part of the installation is, for people; what is looked up here was told before, nobody is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.checks import Severity
from mezcal.errors import BrokerDown
from mezcal.jobs import Lane

if TYPE_CHECKING:
    from api.context import ApiContext
    from mezcal.checks import Finding
    from mezcal.jobs import WorkerStatus


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One part of the installation: *state* is `well`, `strained` or `down`; *words* say more."""

    name: str
    state: str
    words: str


def parts(desk: ApiContext) -> list[ComponentHealth]:
    """Each part of the installation, and how it is."""
    checks = desk.readiness.now()
    found = [
        ComponentHealth("Broker", *_checked(checks["broker"])),
        ComponentHealth("Store", *_checked(checks["store"])),
    ]
    if checks["broker"].level is Severity.OK:
        found += [_workers(desk), *_origins(desk)]
    else:
        found += [ComponentHealth("Workers", "down", "cannot be told: they are seen through the broker")]
    return found


def _checked(finding: Finding) -> tuple[str, str]:
    return ("well", "answers") if finding.level is Severity.OK else ("down", finding.detail)


def _workers(desk: ApiContext) -> ComponentHealth:
    try:
        seen = desk.jobs.workers.statuses()
    except BrokerDown:
        return ComponentHealth("Workers", "down", "cannot be told: the broker does not answer")
    there, silent = [one for one in seen if not one.silent], [one for one in seen if one.silent]
    if not there:
        return ComponentHealth("Workers", "down", "none is there: nothing new can be made")
    processes = sum(one.worker.processes for one in there)
    words = f"{_count(len(there), 'worker')} with {_count(processes, 'process', 'processes')}"
    if silent:
        return ComponentHealth("Workers", "strained", f"{words}; silent: {_silent(silent)}")
    uncovered = [lane for lane in Lane if not any(lane in one.worker.queues for one in there)]
    if uncovered:
        return ComponentHealth("Workers", "strained", f"{words}; none takes {' or '.join(uncovered)} jobs")
    return ComponentHealth("Workers", "well", words)


def _silent(seen: list[WorkerStatus]) -> str:
    return ", ".join(f"{one.worker.name} for {round(one.seconds)} s" for one in seen)


def _origins(desk: ApiContext) -> list[ComponentHealth]:
    """The repository and the archive: what they may be asked now; nobody asks them anything for this."""
    found = []
    for kind, host in desk.jobs.origins.items():
        name = "Archive" if kind == "thumbnail" else "Repository"
        if host:
            found.append(_origin(desk, name, host))
        elif kind == "mezzanine":
            found.append(ComponentHealth(name, "well", "a folder"))
    return found


def _origin(desk: ApiContext, name: str, host: str) -> ComponentHealth:
    try:
        circuit = desk.jobs.circuit(host)
    except BrokerDown:
        return ComponentHealth(name, "strained", f"{host}: cannot be told")
    if circuit.state == "open":
        return ComponentHealth(
            name, "down", f"{host} failed job after job: left alone for {circuit.seconds:.0f} s more"
        )
    if circuit.state == "half-open":
        return ComponentHealth(name, "strained", f"{host} failed job after job: the next job tries it")
    reading = f"; {_count(circuit.places_taken, 'job')} at work there" if circuit.places_taken else ""
    return ComponentHealth(name, "well", f"{host}{reading}")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
