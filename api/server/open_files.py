"""How many connections one API process may have, so that there is always a descriptor for the next file.

A connection that finds none was cut in the middle of its answer, or answered 500.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

FILES_MOST = 4096  # open at once: enough for CONNECTIONS_MOST
CONNECTIONS_MOST, CONNECTIONS_LEAST = 1000, 16
OTHER_FILES = 96  # those of an idle process, and 50 connections to Redis
FILES_OF_CONNECTION = 2  # its socket, and the image


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one API process may have at once; *waiters* are the requests that wait for jobs."""

    files: int
    connections: int
    threads: int
    waiters: int

    def allow_files(self) -> None:
        """Let this process open so many files."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, hard))

    def explained(self) -> str:
        """Returns the line for the log if the limit of files is the reason for fewer waiters than WAITERS_MAX."""
        return (
            f"only {self.connections} connections, of which {self.waiters} may wait for jobs, in each API process: the "
            f"system allows {self.files} open files; {FILES_MOST} are enough (LimitNOFILE of systemd, ulimit -Hn)"
        )


def limits(waiters_max: int, spare_threads: int) -> ConnectionLimits:
    """Returns the limits that the system's limit of open files allows. The *spare_threads* serve what does not wait."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = min(hard, FILES_MOST) if hard != resource.RLIM_INFINITY else FILES_MOST
    connections = min(CONNECTIONS_MOST, max(CONNECTIONS_LEAST, (files - OTHER_FILES) // FILES_OF_CONNECTION))
    spare = min(spare_threads, connections // 4)
    waiters = min(waiters_max, connections - spare - 1)  # gunicorn warns of as many threads as connections
    return ConnectionLimits(files, connections, waiters + spare, waiters)
