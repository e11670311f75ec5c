"""What the tests of the repository client share."""

import os
import threading

MASTER = os.urandom(300_000)
BIG = os.urandom(6 * 2**20)


def fetch(repository, path="a.tif"):
    """The whole master, read as derive does."""
    with repository.open(path) as master:
        master.complete()
        return master.file.read()


def downloads():
    """The threads that still download a master."""
    return [thread for thread in threading.enumerate() if thread.name == "origin-download"]
