"""The health of the installation's components. Nothing but the broker and the store is contacted for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.responses.readable_text import counted
from mezcal.checks import Severity
from mezcal.errors import BrokerDown
from mezcal.jobs import Lane
from mezcal.settings.origins import REPOSITORY

if TYPE_CHECKING:
    from api.context import ApiContext
    from mezcal.checks import Finding
    from mezcal.jobs import WorkerStatus
    from mezcal.settings.downstream.address import HookAddress

HEALTHY, DEGRADED, DOWN = "healthy", "degraded", "down"


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One component: *state* is `healthy`, `degraded` or `down`, *detail* is a short text."""

    name: str
    state: str
    detail: str


def components(context: ApiContext) -> list[ComponentHealth]:
    """Return the health of each component."""
    findings = context.readiness.findings()
    broker, store = _component("Broker", findings["broker"]), _component("Store", findings["store"])
    if broker.state == DOWN:
        return [broker, store, ComponentHealth("Workers", DOWN, "unknown without the broker")]
    registration = [_registration(context)] if context.settings.archive_bucket else []
    return [broker, store, _workers(context), *_origins(context), *registration, *_downstream(context)]


def _component(name: str, finding: Finding) -> ComponentHealth:
    if finding.level is Severity.OK:
        return ComponentHealth(name, HEALTHY, "answers")
    return ComponentHealth(name, DOWN, finding.detail)


def _workers(context: ApiContext) -> ComponentHealth:
    try:
        statuses = context.jobs.workers.statuses()
    except BrokerDown:
        return ComponentHealth("Workers", DOWN, "unknown: the broker does not answer")
    alive, silent = (
        [status for status in statuses if not status.silent],
        [status for status in statuses if status.silent],
    )
    if not alive:
        return ComponentHealth("Workers", DOWN, "no worker is running: nothing new can be made")
    processes = sum(status.worker.processes for status in alive)
    detail = f"{counted(len(alive), 'worker')} with {counted(processes, 'process', 'processes')}"
    if silent:
        return ComponentHealth("Workers", DEGRADED, f"{detail}; silent: {_silent(silent)}")
    unserved = [lane for lane in Lane if not any(lane in status.worker.queues for status in alive)]
    if unserved:
        return ComponentHealth("Workers", DEGRADED, f"{detail}; none takes {' or '.join(unserved)} jobs")
    return ComponentHealth("Workers", HEALTHY, detail)


def _registration(context: ApiContext) -> ComponentHealth:
    """Return how the registration of thumbnails with the archive goes on."""
    name = "Registration"
    try:
        status = context.jobs.registrations.status()
    except BrokerDown:
        return ComponentHealth(name, DEGRADED, "unknown: the broker does not answer")
    detail = f"{counted(status.waiting, 'thumbnail')} to be registered"
    if status.stuck:
        detail += "; attempts fail"
    if status.refused:
        detail += f"; {status.refused} refused in the last day"
    return ComponentHealth(name, DEGRADED if status.stuck or status.refused else HEALTHY, detail)


def _downstream(context: ApiContext) -> list[ComponentHealth]:
    """Return how each hook downstream is notified of changes."""
    return [_hook(context, hook) for hook in context.settings.hooks]


def _hook(context: ApiContext, hook: HookAddress) -> ComponentHealth:
    try:
        status = context.jobs.downstream.status(hook.name)
    except BrokerDown:
        return ComponentHealth("Downstream", DEGRADED, f"{hook.shown}: unknown, the broker does not answer")
    detail = f"{hook.shown}: {counted(status.waiting, 'change')} to be sent"
    if status.failed:
        detail += f"; {status.failed:,} given up"
    if status.lost:
        detail += f"; {status.lost:,} ended jobs lost"
    if status.fault:
        detail += f"; {status.fault}"
    return ComponentHealth("Downstream", DEGRADED if status.fault or status.failed or status.lost else HEALTHY, detail)


def _silent(statuses: list[WorkerStatus]) -> str:
    return ", ".join(f"{status.worker.name} for {round(status.seconds)} s" for status in statuses)


def _origins(context: ApiContext) -> list[ComponentHealth]:
    """Return what the circuit breakers of the origins say. No request is sent to them."""
    folders = [origin for origin in context.settings.origins if not origin.limits_name]
    labels = ["Repository" if origin.name == REPOSITORY else f"Origin {origin.name}" for origin in folders]
    limited = [_origin(context, label, name) for name, label in context.jobs.limited_origins.items()]
    return [*limited, *(ComponentHealth(label, HEALTHY, "a folder") for label in labels)]


def _origin(context: ApiContext, name: str, host: str) -> ComponentHealth:
    try:
        circuit = context.jobs.circuit(host)
    except BrokerDown:
        return ComponentHealth(name, DEGRADED, f"{host}: unknown, the broker does not answer")
    if circuit.state == "open":
        pause = f"requests are paused for {circuit.seconds:.0f} s after repeated failures"
        return ComponentHealth(name, DOWN, f"{host}: {pause}")
    if circuit.state == "half-open":
        return ComponentHealth(name, DEGRADED, f"{host}: failed repeatedly; the next job tries it again")
    reading = f"; {counted(circuit.places_taken, 'job')} reading from it" if circuit.places_taken else ""
    return ComponentHealth(name, HEALTHY, f"{host}{reading}")
