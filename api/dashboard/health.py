"""How each part of the installation is, for people; what is looked up here was told before, nobody is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.checks import Level
from mezcal.jobs import Lane
from mezcal.jobs.workers import roster

if TYPE_CHECKING:
    from api.context import Desk
    from mezcal.checks import Finding
    from mezcal.jobs.workers import Seen


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the installation: *state* is `well`, `strained` or `down`; *words* say more."""

    name: str
    state: str
    words: str


def parts(desk: Desk) -> list[Part]:
    """Each part of the installation, and how it is."""
    checks = desk.health.now()
    found = [Part("Broker", *_checked(checks["broker"])), Part("Store", *_checked(checks["store"]))]
    if checks["broker"].level is Level.OK:
        found += [_workers(desk), *_origins(desk)]
    else:
        found += [Part("Workers", "down", "cannot be told: they are seen through the broker")]
    return found


def _checked(finding: Finding) -> tuple[str, str]:
    return ("well", "answers") if finding.level is Level.OK else ("down", finding.detail)


def _workers(desk: Desk) -> Part:
    try:
        seen = roster(desk.jobs.table)
    except RedisError:
        return Part("Workers", "down", "cannot be told: the broker does not answer")
    there, silent = [one for one in seen if not one.silent], [one for one in seen if one.silent]
    if not there:
        return Part("Workers", "down", "none is there: nothing new can be made")
    processes = sum(one.worker.processes for one in there)
    words = f"{_count(len(there), 'worker')} with {_count(processes, 'process', 'processes')}"
    if silent:
        return Part("Workers", "strained", f"{words}; silent: {_silent(silent)}")
    uncovered = [lane for lane in Lane if not any(lane in one.worker.queues for one in there)]
    if uncovered:
        return Part("Workers", "strained", f"{words}; none takes {' or '.join(uncovered)} jobs")
    return Part("Workers", "well", words)


def _silent(seen: list[Seen]) -> str:
    return ", ".join(f"{one.worker.name} for {round(one.seconds)} s" for one in seen)


def _origins(desk: Desk) -> list[Part]:
    """The repository and the archive: what they may be asked now; nobody asks them anything for this."""
    found = []
    for kind, host in desk.jobs.table.terms.origins.items():
        name = "Archive" if kind == "thumbnail" else "Repository"
        if host:
            found.append(_origin(desk, name, host))
        elif kind == "mezzanine":
            found.append(Part(name, "well", "a folder"))
    return found


def _origin(desk: Desk, name: str, host: str) -> Part:
    try:
        circuit = desk.jobs.gate.circuit(host)
    except RedisError:
        return Part(name, "strained", f"{host}: cannot be told")
    if circuit.state == "open":
        return Part(name, "down", f"{host} failed job after job: left alone for {circuit.seconds:.0f} s more")
    if circuit.state == "half-open":
        return Part(name, "strained", f"{host} failed job after job: the next job tries it")
    reading = f"; {_count(circuit.places_taken, 'job')} at work there" if circuit.places_taken else ""
    return Part(name, "well", f"{host}{reading}")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
