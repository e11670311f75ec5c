"""The commands of `mezcal`. Each is a module with a function `configure`, which gives a parser its options.

The command line imports the module of the chosen command only, so that `mezcal --help` is fast and `mezcal up` small.
A `WrongSetting` or `Failure` that a command raises ends it with one line and exit code 2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, the module that has it, and the line that `mezcal --help` shows."""

    name: str
    module: str
    summary: str


COMMANDS = (  # in the order of --help
    Command("up", "mezcal.commands.up", "run everything on this machine"),
    Command("init", "mezcal.commands.setup.init", "write an .env with the settings of a new installation"),
    Command("warm", "mezcal.commands.warm", "make images before a client asks for them"),
    Command("purge", "mezcal.commands.purge", "delete cached images, so that the next request makes them again"),
    Command("failures", "mezcal.commands.failures", "list failed jobs and their reasons, retry or forget them"),
    Command("deny", "mezcal.commands.operator.deny", "deny images: remove them, and make them no more"),
    Command(
        "downstream", "mezcal.commands.operator.downstream", "list what caches downstream were not notified, retry it"
    ),
    Command("cache", "mezcal.commands.cache", "show the size of the cache, trim it, verify it, adopt it, hand it back"),
    Command("audit", "mezcal.commands.operator.audit", "compare cache and masters with the records, as PREMIS events"),
    Command("check", "mezcal.commands.check", "check settings, repository, broker, workers and store"),
    Command("capacity", "mezcal.commands.capacity", "say how long clients will wait, and which part gives way first"),
    Command("api", "mezcal.commands.roles.api", "run only the API, for an installation on several machines"),
    Command("worker", "mezcal.commands.roles.worker", "run only a worker, for an installation on several machines"),
    Command("beat", "mezcal.commands.roles.beat", "run only periodic work, for installations with busy workers"),
    Command("listen", "mezcal.commands.roles.listen", "follow message queues that announce masters"),
    Command(
        "flower", "mezcal.commands.roles.flower", "run only the dashboard, for an installation on several machines"
    ),
    Command("healthy", "mezcal.commands.roles.healthy", "report whether the role of this container is healthy"),
    Command("secrets", "mezcal.commands.setup.secrets", "create the passwords and keys of a new installation"),
)
